"""What people are shown of alerts, their history, and silences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.moments import shown
from cli.output import ago, duration, table
from cli.silence_replies import Silence
from contracts.alert_views import ActiveState, AlertChange, AlertView, NotificationView
from contracts.alerts import ALERTNAME, NO_SEVERITY, SEVERITY
from contracts.notifications import SendOutcome

_STATES = {ActiveState.FIRING: "red", ActiveState.PENDING: "yellow", ActiveState.RESOLVED: "green"}
_SEVERITIES = {"critical": "bold red", "warning": "yellow"}
_SILENCES = {"active": "cyan", "pending": "yellow", "ended": "dim"}


def alerts_table(alerts: Iterable[AlertView]) -> Table:
    rows = table(
        "alert", "severity", "state", "since", "labels", "summary", "fingerprint", whole=frozenset({"fingerprint"})
    )
    for alert in alerts:
        rows.add_row(
            _name(alert.labels),
            _severity(alert.labels),
            _state(alert),
            ago(alert.since),
            labels_of(alert.labels),
            alert.annotations.get("summary", ""),
            alert.fingerprint,
        )
    return rows


def alert_details(alert: AlertView) -> RenderableType:
    """One alert whole."""
    rows = table("", "")
    rows.show_header = False
    pairs: dict[str, str | Text] = {
        "state": _state(alert),
        "severity": _severity(alert.labels),
        "since": _moment(alert.since),
        "fires since": _moment(alert.fired_at),
        "resolved": _moment(alert.resolved_at),
        "value": "" if alert.value is None else f"{alert.value:g}",
        "labels": labels_of(alert.labels),
        "rule": ", ".join(filter(None, (alert.rule, alert.group, alert.file))),
        "silenced by": ", ".join(alert.silenced_by),
        "inhibited by": ", ".join(alert.inhibited_by),
        "fingerprint": alert.fingerprint,
        **alert.annotations,
    }
    for name, value in pairs.items():
        if value:
            rows.add_row(Text(name, "bold"), value)
    return Group(Text(_name(alert.labels), "bold"), rows)


def changes_table(changes: Iterable[AlertChange]) -> Table:
    """When alerts began to fire and were over, in the order given."""
    rows = table(
        "when", "alert", "severity", "state", "after", "labels", "fingerprint", whole=frozenset({"fingerprint"})
    )
    for change in changes:
        lasted = "" if change.ends_at is None else duration((change.ends_at - change.starts_at).total_seconds())
        rows.add_row(
            shown(change.at),
            _name(change.labels),
            _severity(change.labels),
            Text(change.state, _STATES[ActiveState(change.state)]),
            lasted,
            labels_of(change.labels),
            change.fingerprint,
        )
    return rows


def notifications_table(notifications: Iterable[NotificationView]) -> Table:
    """Who was told of what, in the order given."""
    rows = table("when", "channel", "receiver", "about", "because", "outcome", "attempts", "said")
    for each in notifications:
        good = each.outcome is SendOutcome.DELIVERED
        rows.add_row(
            shown(each.at),
            each.channel,
            each.receiver,
            " ".join(f"{name}={value}" for name, value in sorted(each.group_labels.items())),
            "" if each.reason is None else each.reason.value,
            Text(each.outcome.value, "green" if good else "red"),
            str(each.attempts),
            each.detail,
        )
    return rows


def silences_table(silences: Iterable[Silence]) -> Table:
    rows = table("silence", "state", "matchers", "from", "until", "by", "comment", whole=frozenset({"silence"}))
    for silence in silences:
        rows.add_row(
            silence.id,
            Text(silence.state, _SILENCES.get(silence.state, "")),
            " ".join(silence.matchers),
            shown(silence.starts_at),
            shown(silence.ends_at),
            silence.created_by,
            silence.comment,
        )
    return rows


def labels_of(labels: Mapping[str, str]) -> str:
    """All but the alert's name and severity, which have columns of their own."""
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in {ALERTNAME, SEVERITY})


def _name(labels: Mapping[str, str]) -> str:
    return labels.get(ALERTNAME, "?")


def _severity(labels: Mapping[str, str]) -> Text:
    severity = labels.get(SEVERITY, NO_SEVERITY)
    return Text(severity, _SEVERITIES.get(severity, ""))


def _state(alert: AlertView) -> Text:
    reasons = [word for word, by in (("silenced", alert.silenced_by), ("inhibited", alert.inhibited_by)) if by]
    untold = Text(f" ({', '.join(reasons)})" if reasons else "", "dim")
    return Text.assemble((alert.state.value, _STATES.get(alert.state, "")), untold)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{shown(moment)} ({ago(moment)})"
