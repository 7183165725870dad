"""What people read first, in every form: a headline, and a few words about each alert. All of it is bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.alerts import ALERTNAME, SEVERITY, AlertEvent
from observability.notifications.notification import Notification

MAX_HEADLINE = 180
MAX_NAMED = 20
"""Alerts described in one message to a person; the rest is counted."""
MAX_TEXT = 1000
MAX_LABELS_TEXT = 500

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_INVISIBLE = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""What makes text run backwards: a message must not look like another one."""
_URL = re.compile(r"https?://[^\s\"'<>|]{1,1900}")


@dataclass(frozen=True, slots=True)
class Words:
    """One alert for people. `runbook` is an address that begins with http:// or https://, or empty."""

    name: str
    severity: str
    is_firing: bool
    summary: str
    description: str
    labels: str
    since: str
    runbook: str

    @classmethod
    def of(cls, alert: AlertEvent) -> Words:
        labels = {k: v for k, v in alert.labels.items() if k not in {ALERTNAME, SEVERITY}}
        return cls(
            name=line(alert.name, 200),
            severity=line(alert.severity, 40),
            is_firing=alert.is_firing,
            summary=line(alert.annotations.get("summary", ""), MAX_TEXT),
            description=line(alert.annotations.get("description", ""), MAX_TEXT),
            labels=line(pairs(labels), MAX_LABELS_TEXT),
            since=_since(alert),
            runbook=_link(alert.annotations.get("runbook_url", "")),
        )


def headline(notification: Notification) -> str:
    """One line: how many fire, how many are over, what they have in common."""
    counts = []
    if notification.firing:
        counts.append(f"FIRING {len(notification.firing) + notification.left_out}")
    if notification.resolved:
        counts.append(f"{'resolved' if counts else 'RESOLVED'} {len(notification.resolved)}")
    common = notification.common_labels
    name = common.pop(ALERTNAME, "")
    names = name or f"{len({alert.name for alert in notification.alerts})} different alerts"
    rest = pairs(common)
    return line(f"[{', '.join(counts)}] {names}" + (f" ({rest})" if rest else ""), MAX_HEADLINE)


def named(notification: Notification) -> tuple[list[Words], int]:
    """The alerts that are described, those that fire first, and how many are not."""
    alerts = notification.alerts
    return [Words.of(alert) for alert in alerts[:MAX_NAMED]], len(alerts[MAX_NAMED:]) + notification.left_out


def pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in sorted(labels.items()))


def line(text: str, limit: int) -> str:
    """One line without control characters, of at most `limit` characters."""
    clean = _INVISIBLE.sub("", _CONTROLS.sub(" ", text)).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _since(alert: AlertEvent) -> str:
    if alert.ends_at is None:
        return f"since {_moment(alert.starts_at)}"
    return f"from {_moment(alert.starts_at)} to {_moment(alert.ends_at)}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _link(text: str) -> str:
    return text if _URL.fullmatch(text) else ""
