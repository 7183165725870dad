"""Where people find what to do about an alert."""

from __future__ import annotations

from contracts.alerts import AlertEvent

RUNBOOK = "runbook_url"


def with_runbook(alert: AlertEvent, runbooks_url: str) -> AlertEvent:
    """The alert with the whole address of its runbook, where its rule names only the page and `runbooks_url` is known."""
    page = alert.annotations.get(RUNBOOK, "")
    if not page or not runbooks_url or "://" in page:
        return alert
    address = f"{runbooks_url.rstrip('/')}/{page.rpartition('/')[2]}"
    return alert.model_copy(update={"annotations": {**alert.annotations, RUNBOOK: address}})
