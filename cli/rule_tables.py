"""What people are shown of the rules in force."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from rich.table import Table
from rich.text import Text

from cli.output import ago, table
from contracts.alert_views import ActiveState, RuleHealth, RuleKind, RulesView, RuleView
from observability.notifications.configuration.durations import format_duration

_HEALTH = {RuleHealth.OK: "green", RuleHealth.ERROR: "red", RuleHealth.UNKNOWN: "dim"}
_STATES = {ActiveState.FIRING: "red", ActiveState.PENDING: "yellow"}


def rules_table(rules: RulesView) -> Table:
    """One row for each rule, by file and group."""
    rows = table("group", "rule", "state", "alerts", "health", "every", "for", "evaluated", "last error")
    for group in rules.groups:
        for rule in group.rules:
            rows.add_row(
                group.name,
                rule.name,
                _state(rule),
                _alerts(rule),
                Text(rule.health.value, _HEALTH[rule.health]),
                _written(group.interval_s),
                _written(rule.for_s) if rule.for_s else "",
                ago(rule.last_evaluation),
                Text(rule.last_error, "red"),
            )
    return rows


def faults_of(rules: RulesView) -> list[str]:
    """What is wrong with files that were refused: what was there before goes on."""
    faults = rules.reload.faults if rules.reload else ()
    return [f"{fault.file}:{fault.line}: {fault.reason}" for fault in faults]


def are_well(rules: RulesView) -> bool:
    """Whether every rule could be evaluated, and every file is in force as it is."""
    bad = any(rule.health is RuleHealth.ERROR for group in rules.groups for rule in group.rules)
    return not bad and (rules.reload is None or rules.reload.successful)


def _state(rule: RuleView) -> Text:
    if rule.kind is RuleKind.RECORDING:
        return Text("recording", "dim")
    return Text(rule.state.value, _STATES.get(rule.state, ""))


def _alerts(rule: RuleView) -> str:
    counts = Counter(alert.state for alert in rule.alerts)
    return ", ".join(f"{counts[state]} {state}" for state in ActiveState if counts[state])


def _written(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))
