"""What the rules have found, as of each group's last evaluation."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from contracts.alerts import NO_SEVERITY, SEVERITY, AlertEvent, fingerprint
from observability.alerting.alerts import bounded_labels, event_of
from observability.alerting.evaluations import Outcome
from observability.alerting.records import GroupKey
from observability.notifications.matchers import Matchers
from observability.rules import Alert, AlertingRule, AlertState, Rule, RuleGroup

_ORDER: Final = {AlertState.FIRING: 0, AlertState.PENDING: 1, AlertState.RESOLVED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardAlert:
    """An alert and where it comes from."""

    group: GroupKey
    rule: AlertingRule
    alert: Alert

    @property
    def fingerprint(self) -> str:
        """As its events have it."""
        return fingerprint(bounded_labels(self.alert.labels))

    @property
    def severity(self) -> str:
        return self.alert.labels.get(SEVERITY, NO_SEVERITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """A rule, its alerts, and how its last evaluation went: `error` is what was wrong, `took_s` None before the first one."""

    rule: Rule
    alerts: tuple[Alert, ...] = ()
    error: str = ""
    took_s: float | None = None

    @property
    def health(self) -> str:
        """`ok`, `err` or `unknown`, as Prometheus says it."""
        return "unknown" if self.took_s is None else "err" if self.error else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReport:
    """A group as of its last evaluation; `evaluated_at_ms` is None before it."""

    group: RuleGroup
    rules: tuple[RuleReport, ...] = field(default=())
    evaluated_at_ms: int | None = None
    took_s: float = 0.0

    @property
    def key(self) -> GroupKey:
        return GroupKey.of(self.group)


class AlertBoard:
    """All alerts now: pending, firing, and those resolved within 15 minutes."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, GroupReport] = {}

    @property
    def groups(self) -> tuple[GroupReport, ...]:
        """All groups, by file and name."""
        return tuple(report for _, report in sorted(self._groups.items()))

    def put(self, outcome: Outcome) -> None:
        """Take what came of an evaluation or of a change of a group."""
        if outcome.gone:
            self._groups.pop(outcome.key, None)
        else:
            self._groups[outcome.key] = _report(outcome, self._groups.get(outcome.key))

    def drop(self, key: GroupKey) -> None:
        """A group is no more."""
        self._groups.pop(key, None)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._groups.clear()

    def alerts(
        self,
        *,
        states: Collection[AlertState] = (AlertState.FIRING, AlertState.PENDING),
        severities: Collection[str] = (),
        matchers: Matchers | None = None,
    ) -> list[BoardAlert]:
        """Alerts in these states, of these severities (any where there are none), that all `matchers` accept: firing ones
        first, those that came last on top.
        """
        found = [
            each
            for each in self._every()
            if each.alert.state in states
            and (not severities or each.severity in severities)
            and (matchers is None or matchers.accept(each.alert.labels))
        ]
        return sorted(found, key=lambda each: (_ORDER[each.alert.state], -each.alert.active_at_ms))

    def find(self, wanted: str) -> BoardAlert | None:
        """The alert with a fingerprint, or None."""
        return next((each for each in self._every() if each.fingerprint == wanted), None)

    def events(self) -> list[AlertEvent]:
        """Everything that fires, and what ended within 15 minutes, as it was told. For thousands this takes a while: it may be
        called from another thread.
        """
        return [event for each in self._every() if (event := event_of(each.alert)) is not None]

    def _every(self) -> Iterator[BoardAlert]:
        for key, group in list(self._groups.items()):
            for report in group.rules:
                if isinstance(report.rule, AlertingRule):
                    for alert in report.alerts:
                        yield BoardAlert(group=key, rule=report.rule, alert=alert)


def _report(outcome: Outcome, before: GroupReport | None) -> GroupReport:
    evaluation = outcome.evaluation
    errors = {id(failure.rule): str(failure.error) for failure in evaluation.failures} if evaluation else {}
    took_s = evaluation.took_s if evaluation else ()
    states = defaultdict[str, deque[tuple[Alert, ...]]](deque)
    for state in outcome.state.rules if outcome.state else ():
        states[state.name].append(state.alerts)  # rules of one name are told apart by their order
    rules = []
    for place, rule in enumerate(outcome.group.rules):
        known = states[rule.name] if isinstance(rule, AlertingRule) else ()
        rules.append(
            RuleReport(
                rule=rule,
                alerts=known.popleft() if isinstance(known, deque) and known else (),
                error=errors.get(id(rule), ""),
                took_s=took_s[place] if place < len(took_s) else None,
            )
        )
    last = before.evaluated_at_ms if before else None
    return GroupReport(
        group=outcome.group,
        rules=tuple(rules),
        evaluated_at_ms=evaluation.at_ms if evaluation else last,
        took_s=outcome.took_s,
    )
