"""Alerts and rules as they are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from contracts.alert_views import (
    ActiveState,
    AlertsView,
    AlertView,
    FaultView,
    GroupView,
    ReloadView,
    RuleHealth,
    RuleKind,
    RulesView,
    RuleView,
)
from observability.alert_questions import AlertQuestion
from observability.alerting.alerts import bounded_labels, moment
from observability.alerting.board import AlertBoard, BoardAlert, GroupReport, RuleReport
from observability.alerting.rule_book import RuleBook
from observability.notifications.inhibition import Inhibition
from observability.notifications.silencing import Silences
from observability.rules import AlertingRule, AlertState

EVERY_STATE: Final = tuple(AlertState)
_WORST: Final = (AlertState.FIRING, AlertState.PENDING)


class Showing:
    """Shows what is on the board, with the silences that are in force at a time, and what is inhibited by what.

    `inhibition` makes one that has observed nothing yet.
    """

    def __init__(
        self, board: AlertBoard, silences: Silences, *, inhibition: Callable[[], Inhibition] = lambda: Inhibition(())
    ) -> None:
        self._board = board
        self._silences = silences
        self._inhibition = inhibition

    def alerts(self, question: AlertQuestion, now: datetime) -> AlertsView:
        """Those that are meant: firing ones first, those that came last on top."""
        inhibition = self._observed()
        every = [self._alert(each, now, inhibition) for each in self._board.alerts(states=EVERY_STATE)]
        return AlertsView(items=tuple(filter(question.accepts, every)))

    def rules(self, book: RuleBook, now: datetime, *, interval_ms: int) -> RulesView:
        """All groups, by file; `interval_ms` is that of groups without one of their own."""
        faults = tuple(FaultView(file=each.file, line=each.line, reason=each.reason) for each in book.faults)
        inhibition = self._observed()
        return RulesView(
            groups=tuple(self._group(report, now, interval_ms, inhibition) for report in self._board.groups),
            reload=ReloadView(successful=book.successful, faults=faults),
        )

    def _observed(self) -> Inhibition:
        inhibition = self._inhibition()
        for event in self._board.events():
            inhibition.observe(event)
        return inhibition

    def _group(self, report: GroupReport, now: datetime, interval_ms: int, inhibition: Inhibition) -> GroupView:
        return GroupView(
            name=report.group.name,
            file=report.group.file,
            interval_s=(report.group.interval_ms or interval_ms) / 1000,
            limit=report.group.limit,
            last_evaluation=None if report.evaluated_at_ms is None else moment(report.evaluated_at_ms),
            evaluation_s=report.took_s,
            rules=tuple(self._rule(report, rule, now, inhibition) for rule in report.rules),
        )

    def _rule(self, group: GroupReport, report: RuleReport, now: datetime, inhibition: Inhibition) -> RuleView:
        rule = report.rule
        evaluated = report.took_s is not None and group.evaluated_at_ms is not None
        view = RuleView(
            name=rule.name,
            kind=RuleKind.ALERTING if isinstance(rule, AlertingRule) else RuleKind.RECORDING,
            query=rule.query.text,
            health=RuleHealth(report.health),
            last_error=report.error,
            last_evaluation=moment(group.evaluated_at_ms or 0) if evaluated else None,
            evaluation_s=report.took_s or 0.0,
        )
        if not isinstance(rule, AlertingRule):
            return view.model_copy(update={"labels": dict(rule.labels)})
        return view.model_copy(
            update={
                "labels": {name: template.text for name, template in rule.labels.items()},
                "annotations": {name: template.text for name, template in rule.annotations.items()},
                "for_s": rule.hold_ms / 1000,
                "keep_firing_for_s": rule.keep_firing_ms / 1000,
                "state": _worst({alert.state for alert in report.alerts}),
                "alerts": tuple(
                    self._alert(BoardAlert(group=group.key, rule=rule, alert=alert), now, inhibition)
                    for alert in report.alerts
                ),
            }
        )

    def _alert(self, found: BoardAlert, now: datetime, inhibition: Inhibition) -> AlertView:
        alert, key = found.alert, found.group
        labels = bounded_labels(alert.labels)
        silence = self._silences.silencing(labels, now)
        cause = inhibition.inhibiting(labels)
        return AlertView(
            fingerprint=found.fingerprint,
            labels=labels,
            annotations=alert.annotations,
            state=ActiveState(alert.state),
            since=moment(alert.active_at_ms),
            fired_at=None if alert.fired_at_ms is None else moment(alert.fired_at_ms),
            resolved_at=None if alert.resolved_at_ms is None else moment(alert.resolved_at_ms),
            value=alert.value if math.isfinite(alert.value) else None,
            rule=found.rule.name,
            group=key.name,
            file=key.file,
            silenced_by=() if silence is None else (silence.id,),
            inhibited_by=() if cause is None else (cause,),
        )


def _worst(states: Collection[AlertState]) -> ActiveState:
    return next((ActiveState(state) for state in _WORST if state in states), ActiveState.INACTIVE)
