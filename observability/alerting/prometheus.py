"""Rules and alerts in the shapes of Prometheus' HTTP API: `data` of `/api/v1/rules` and `/api/v1/alerts`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any, Final

from observability.alerting.alerts import moment
from observability.alerting.board import AlertBoard, GroupReport, RuleReport
from observability.rules import Alert, AlertingRule, AlertState, RecordingRule, RuleGroup
from observability.rules.numbers import unbounded

NEVER: Final = "0001-01-01T00:00:00Z"
"""How Go writes a time that there is not."""


def alerts_data(board: AlertBoard) -> dict[str, Any]:
    """The alerts that are pending or firing."""
    return {"alerts": [_alert(each.alert) for each in board.alerts()]}


def rules_data(
    board: AlertBoard,
    *,
    default_interval_ms: int,
    kind: type[AlertingRule | RecordingRule] | None = None,
    names: Collection[str] = (),
    groups: Collection[str] = (),
    files: Collection[str] = (),
    with_alerts: bool = True,
) -> dict[str, Any]:
    """The groups with their rules; of one `kind`, of these names, groups and files where any are given. A group of which no
    rule is left is left out, as Prometheus does.
    """
    narrowed = kind is not None or bool(names)
    found: list[dict[str, Any]] = []
    for report in board.groups:
        if (groups and report.group.name not in groups) or (files and report.group.file not in files):
            continue
        rules = [
            _rule(each, report, with_alerts=with_alerts)
            for each in report.rules
            if (kind is None or isinstance(each.rule, kind)) and (not names or each.rule.name in names)
        ]
        if rules or not narrowed:
            found.append(_group(report, rules, default_interval_ms))
    return {"groups": found}


def _group(report: GroupReport, rules: list[dict[str, Any]], default_interval_ms: int) -> dict[str, Any]:
    group: RuleGroup = report.group
    return {
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": (group.interval_ms or default_interval_ms) / 1000,
        "limit": group.limit,
        "evaluationTime": report.took_s,
        "lastEvaluation": _time(report.evaluated_at_ms),
    }


def _rule(report: RuleReport, group: GroupReport, *, with_alerts: bool) -> dict[str, Any]:
    rule = report.rule
    common = {
        "name": rule.name,
        "query": rule.query.text,
        "health": report.health,
        **({"lastError": report.error} if report.error else {}),
        "evaluationTime": report.took_s or 0.0,
        "lastEvaluation": _time(group.evaluated_at_ms),
    }
    if isinstance(rule, RecordingRule):
        return {**common, "labels": dict(rule.labels), "type": "recording"}
    active = [alert for alert in report.alerts if alert.state is not AlertState.RESOLVED]
    return {
        **common,
        "state": _worst(active),
        "duration": rule.hold_ms / 1000,
        "keepFiringFor": rule.keep_firing_ms / 1000,
        "labels": {name: template.text for name, template in rule.labels.items()},
        "annotations": {name: template.text for name, template in rule.annotations.items()},
        **({"alerts": [_alert(alert) for alert in active]} if with_alerts else {}),
        "type": "alerting",
    }


def _worst(active: Iterable[Alert]) -> str:
    states = {alert.state for alert in active}
    return next((str(state) for state in (AlertState.FIRING, AlertState.PENDING) if state in states), "inactive")


def _alert(alert: Alert) -> dict[str, Any]:
    since = alert.keep_firing_since_ms
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": str(alert.state),
        "activeAt": _time(alert.active_at_ms),
        **({"keepFiringSince": _time(since)} if since is not None else {}),
        "value": exponential(alert.value),
    }


def _time(time_ms: int | None) -> str:
    if time_ms is None:
        return NEVER
    return moment(time_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exponential(value: float) -> str:
    """As Go's `strconv.FormatFloat(value, 'e', -1, 64)`: the fewest digits that mean the same, as `1.5e+00`."""
    if not math.isfinite(value):
        return unbounded(value)
    return next(text for digits in range(18) if float(text := f"{value:.{digits}e}") == value)
