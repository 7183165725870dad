"""The alerts of one rule, and how they come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from observability.promql import Labels, Sample
from observability.promql.labels import METRIC_NAME

RESOLVED_KEPT_MS: Final = 15 * 60 * 1000
"""How long a resolved alert is remembered, so that whoever missed its end can still learn of it."""


class AlertState(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(BaseModel):
    """One alert of a rule; its labels are its identity. Times are in milliseconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    labels: dict[str, str]
    annotations: dict[str, str]
    state: AlertState
    value: float
    active_at_ms: int
    """Since when the expression has been true; moved by the time that the process was down."""
    fired_at_ms: int | None = None
    resolved_at_ms: int | None = None
    keep_firing_since_ms: int | None = None
    """Since when it only fires because of `keep_firing_for`."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What an evaluation found for one alert."""

    annotations: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state; `before` is None for an alert that was not there. An alert that was only pending and went away
    is told with its last state and `ended`.
    """

    before: AlertState | None
    alert: Alert
    ended: bool = False


class RuleAlerts:
    """The state machine of one alerting rule: inactive, pending, firing, resolved, as Prometheus has it.

    `observe` is called for evaluations that succeeded only: one that failed tells nothing about the world, so it
    changes nothing. An alert that an evaluation does not find has ended. `for` counts from the first of unbroken
    evaluations that found it.
    """

    def __init__(
        self, *, hold_ms: int = 0, keep_firing_ms: int = 0, alerts: Mapping[Labels, Alert] | None = None
    ) -> None:
        self._hold_ms = hold_ms
        self._keep_firing_ms = keep_firing_ms
        self._alerts: dict[Labels, Alert] = dict(alerts or {})

    @property
    def alerts(self) -> list[Alert]:
        """All of them, also those resolved a short while ago."""
        return list(self._alerts.values())

    @property
    def active(self) -> list[Alert]:
        """Those that are pending or firing."""
        return [alert for alert in self._alerts.values() if alert.state is not AlertState.RESOLVED]

    def observe(self, found: Mapping[Labels, Observation], *, at_ms: int) -> list[Transition]:
        """Take what the evaluation at `at_ms` found, and say what changed."""
        transitions: list[Transition] = []
        known = self._alerts
        self._alerts = {}
        for labels in [*known, *(labels for labels in found if labels not in known)]:
            before, observed = known.get(labels), found.get(labels)
            after = self._after(before, labels, observed, at_ms)
            if after is not None:
                self._alerts[labels] = after
            transitions += _transitions(before, after, at_ms)
        return transitions

    def clear(self, *, at_ms: int) -> list[Transition]:
        """Forget all alerts, as when there are more than allowed; those that fired are told as resolved."""
        known, self._alerts = self._alerts, {}
        ended = [(alert, _resolved(alert, at_ms)) for alert in known.values() if alert.state is not AlertState.RESOLVED]
        return [
            Transition(before.state, after if before.state is AlertState.FIRING else before, ended=True)
            for before, after in ended
        ]

    def samples(self) -> list[Sample]:
        """`ALERTS` and `ALERTS_FOR_STATE` of the active alerts: 1, and since when in seconds."""
        samples: list[Sample] = []
        for alert in self.active:
            series = {METRIC_NAME: "ALERTS", **alert.labels, "alertstate": str(alert.state)}
            samples.append(Sample(Labels(series), 1.0))
            since = {**alert.labels, METRIC_NAME: "ALERTS_FOR_STATE"}
            samples.append(Sample(Labels(since), float(alert.active_at_ms // 1000)))
        return samples

    def moved(self, *, by_ms: int) -> RuleAlerts:
        """The same alerts after a pause of the process: what was not watched counts neither into `for` nor into
        `keep_firing_for`.
        """
        moved = {
            labels: alert.model_copy(
                update={
                    "active_at_ms": alert.active_at_ms + (by_ms if alert.state is AlertState.PENDING else 0),
                    "keep_firing_since_ms": alert.keep_firing_since_ms and alert.keep_firing_since_ms + by_ms,
                }
            )
            for labels, alert in self._alerts.items()
        }
        return RuleAlerts(hold_ms=self._hold_ms, keep_firing_ms=self._keep_firing_ms, alerts=moved)

    def _after(self, alert: Alert | None, labels: Labels, observed: Observation | None, at_ms: int) -> Alert | None:
        if observed is None:
            return None if alert is None else self._missing(alert, at_ms)
        if alert is None or alert.state is AlertState.RESOLVED:
            return self._judged(
                Alert(
                    labels=dict(labels),
                    annotations=dict(observed.annotations),
                    state=AlertState.PENDING,
                    value=observed.value,
                    active_at_ms=at_ms,
                ),
                at_ms,
            )
        seen = {"value": observed.value, "annotations": dict(observed.annotations), "keep_firing_since_ms": None}
        return self._judged(alert.model_copy(update=seen), at_ms)

    def _missing(self, alert: Alert, at_ms: int) -> Alert | None:
        if alert.state is AlertState.PENDING:
            return None
        if alert.resolved_at_ms is not None:
            return alert if at_ms - alert.resolved_at_ms <= RESOLVED_KEPT_MS else None
        since_ms = at_ms if alert.keep_firing_since_ms is None else alert.keep_firing_since_ms
        if at_ms - since_ms < self._keep_firing_ms:
            return self._judged(alert.model_copy(update={"keep_firing_since_ms": since_ms}), at_ms)
        return _resolved(alert, at_ms)

    def _judged(self, alert: Alert, at_ms: int) -> Alert:
        """Pending or firing, by how long it has been there: `for` may have been changed meanwhile."""
        held = at_ms - alert.active_at_ms >= self._hold_ms
        if alert.state is AlertState.PENDING and held:
            return alert.model_copy(update={"state": AlertState.FIRING, "fired_at_ms": at_ms})
        if alert.state is AlertState.FIRING and not held:
            again = {"state": AlertState.PENDING, "fired_at_ms": None, "keep_firing_since_ms": None}
            return alert.model_copy(update=again)
        return alert


def _resolved(alert: Alert, at_ms: int) -> Alert:
    return alert.model_copy(update={"state": AlertState.RESOLVED, "resolved_at_ms": at_ms})


def _transitions(before: Alert | None, after: Alert | None, at_ms: int) -> list[Transition]:
    if after is None:
        if before is None or before.state is AlertState.RESOLVED:
            return []
        return [Transition(before.state, before, ended=True)]
    if before is not None and before.state is after.state:
        return []
    if before is not None and before.state is AlertState.FIRING and after.state is AlertState.PENDING:
        # Who was told that it fires has to hear that it does no more, though it may soon again.
        return [Transition(before.state, _resolved(before, at_ms), ended=True), Transition(None, after)]
    return [Transition(before.state if before else None, after)]
