"""Alerts and notifications to try channels with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from contracts.alerts import AlertEvent
from contracts.notifications import SendReason
from observability.notifications.notification import Notification, notification_id

MORNING = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def alert(
    name: str = "HighErrorRate", *, minutes: int | None = None, at: datetime = MORNING, **labels: str
) -> AlertEvent:
    """An alert that fires; with `minutes` one that was over after so many."""
    return AlertEvent.of(
        {"alertname": name, "severity": "critical", **labels},
        starts_at=at,
        ends_at=None if minutes is None else at + timedelta(minutes=minutes),
        annotations={"summary": f"{name} is too high", "runbook_url": "https://docs.example/runbooks/x"},
        value=0.07,
    )


def notification(
    *firing: AlertEvent,
    resolved: tuple[AlertEvent, ...] = (),
    group_labels: Mapping[str, str] | None = None,
    at: datetime = MORNING,
    left_out: int = 0,
    channel: str = "tested",
) -> Notification:
    alerts = firing if firing or resolved else (alert(service="embed"),)
    labels = {"alertname": (alerts + resolved)[0].name} if group_labels is None else dict(group_labels)
    return Notification(
        id=notification_id("{}:{}", channel, [(each, None) for each in alerts], resolved),
        group_key='{}:{alertname="x"}',
        receiver="on-call",
        channel=channel,
        reason=SendReason.FIRST,
        group_labels=labels,
        firing=alerts,
        resolved=resolved,
        at=at,
        left_out=left_out,
        external_url="https://waggle.example",
    )
