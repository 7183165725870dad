"""Groups of rules, evaluated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import TypeVar

from observability.promql import STALE, Labels, PromQLError, Sample, SeriesSink, SeriesSource
from observability.promql.labels import METRIC_NAME
from observability.rules.alerts import Alert, Observation, RuleAlerts, Transition
from observability.rules.errors import LimitExceededError, RuleEvaluationError
from observability.rules.models import AlertingRule, RecordingRule, Rule, RuleGroup
from observability.rules.state import GroupState, RuleState
from observability.rules.templates import AlertData

T = TypeVar("T")
NowMs = Callable[[], int]
"""The time in milliseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """What is the same for all alerts of an installation; templates may use it."""

    labels: Mapping[str, str] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule that could not be evaluated this time."""

    rule: Rule
    error: RuleEvaluationError | PromQLError


@dataclass(frozen=True, slots=True)
class GroupEvaluation:
    """What came of one evaluation."""

    at_ms: int
    transitions: tuple[Transition, ...]
    failures: tuple[RuleFailure, ...]
    took_s: tuple[float, ...]
    """How long each rule took, in the order of the group."""


@dataclass(slots=True)
class _Evaluated:
    """A rule and what is remembered between its evaluations."""

    rule: Rule
    alerts: RuleAlerts
    written: set[Labels] = field(default_factory=set)
    """The series that the last evaluation wrote: those that the next one does not write have ended."""


class GroupEvaluator:
    """Evaluates the rules of a group in their order, writes their series, and keeps the state of their alerts.

    A rule that fails changes nothing, neither its alerts nor its series, and is counted in `failures`; the rules after
    it are evaluated all the same. `evaluations` counts rules too. Not for several threads at once.
    """

    def __init__(
        self,
        group: RuleGroup,
        *,
        source: SeriesSource,
        sink: SeriesSink,
        now_ms: NowMs,
        external: External | None = None,
    ) -> None:
        self.group = group
        self._source = source
        self._sink = sink
        self._now_ms = now_ms
        self._external = external or External()
        self._rules = [_Evaluated(rule, _no_alerts(rule)) for rule in group.rules]
        self._evaluated_at_ms: int | None = None
        self.evaluations = 0
        self.failures = 0

    def evaluate(self) -> GroupEvaluation:
        """Evaluate all rules now. Never raises for what is wrong with a rule or its data."""
        at_ms = self._now_ms()
        transitions, failures, took_s = list[Transition](), list[RuleFailure](), list[float]()
        for evaluated in self._rules:
            self.evaluations += 1
            began = perf_counter()
            try:
                transitions += self._evaluate(evaluated, at_ms)
            except (PromQLError, RuleEvaluationError) as error:
                self.failures += 1
                failures.append(RuleFailure(evaluated.rule, error))
                if isinstance(error, LimitExceededError):
                    transitions += evaluated.alerts.clear(at_ms=at_ms)
            took_s.append(perf_counter() - began)
        self._evaluated_at_ms = at_ms
        return GroupEvaluation(at_ms, tuple(transitions), tuple(failures), tuple(took_s))

    def alerts(self) -> Iterator[tuple[AlertingRule, RuleAlerts]]:
        """The alerting rules and their alerts."""
        for evaluated in self._rules:
            if isinstance(evaluated.rule, AlertingRule):
                yield evaluated.rule, evaluated.alerts

    def state(self) -> GroupState | None:
        """What to keep for a restart; None before the first evaluation."""
        if self._evaluated_at_ms is None:
            return None
        rules = tuple(RuleState(name=rule.name, alerts=tuple(alerts.alerts)) for rule, alerts in self.alerts())
        return GroupState(evaluated_at_ms=self._evaluated_at_ms, rules=rules)

    def restore(self, state: GroupState) -> None:
        """Go on from `state`, kept by an earlier process; the time since then counts neither into `for` nor into
        `keep_firing_for`. Rules that it does not know start without alerts.
        """
        kept = {key: rule.alerts for key, rule in _numbered([(rule.name, rule) for rule in state.rules])}
        now_ms = self._now_ms()
        pause_ms = max(0, now_ms - state.evaluated_at_ms)
        alerting = [(e.rule.name, e) for e in self._rules if isinstance(e.rule, AlertingRule)]
        for key, evaluated in _numbered(alerting):
            if key in kept and isinstance(evaluated.rule, AlertingRule):
                known = {Labels(alert.labels): alert for alert in kept[key]}
                evaluated.alerts = _alerts(evaluated.rule, known).moved(by_ms=pause_ms)
                evaluated.written = {sample.labels for sample in evaluated.alerts.samples()}
        self._evaluated_at_ms = now_ms

    def follow(self, former: GroupEvaluator) -> tuple[Transition, ...]:
        """Go on where `former` stopped: the same group in the same process, before its rules were changed. Rules of one
        kind and name go on with their alerts and series. Returns the ends of the alerts whose rules are no more.
        """
        mine = dict(_numbered([(_kind_and_name(evaluated.rule), evaluated) for evaluated in self._rules]))
        ends: list[Transition] = []
        for key, old in _numbered([(_kind_and_name(evaluated.rule), evaluated) for evaluated in former._rules]):
            new = mine.get(key)
            if new is None:
                ends += self._end(old)
                continue
            new.written = old.written
            if isinstance(new.rule, AlertingRule):
                new.alerts = _alerts(new.rule, {Labels(alert.labels): alert for alert in old.alerts.alerts})
        self._evaluated_at_ms = former._evaluated_at_ms
        return tuple(ends)

    def end(self) -> tuple[Transition, ...]:
        """End all alerts and series: the group is no more."""
        return tuple(transition for evaluated in self._rules for transition in self._end(evaluated))

    def _end(self, evaluated: _Evaluated) -> list[Transition]:
        at_ms = self._now_ms()
        self._write(evaluated, [], at_ms - self.group.query_offset_ms)
        return evaluated.alerts.clear(at_ms=at_ms)

    def _evaluate(self, evaluated: _Evaluated, at_ms: int) -> list[Transition]:
        query_at_ms = at_ms - self.group.query_offset_ms
        found = evaluated.rule.query.instant(self._source, at_ms=query_at_ms).samples
        if isinstance(evaluated.rule, RecordingRule):
            samples, transitions = self._recorded(evaluated.rule, found), []
        else:
            observed = self._observed(evaluated.rule, found)
            transitions = evaluated.alerts.observe(observed, at_ms=at_ms)
            self._check_limit(evaluated.rule, len(evaluated.alerts.active), "active alerts")
            samples = evaluated.alerts.samples()
        self._write(evaluated, samples, query_at_ms)
        return transitions

    def _recorded(self, rule: RecordingRule, found: list[Sample]) -> list[Sample]:
        changed = {METRIC_NAME: rule.name, **rule.labels}
        samples = [Sample(labels.updated(changed), value) for labels, value in found]
        if len({sample.labels for sample in samples}) < len(samples):
            raise RuleEvaluationError(
                f"{rule.name}: vector contains metrics with the same labelset after applying rule labels"
            )
        self._check_limit(rule, len(samples), "series")
        return samples

    def _observed(self, rule: AlertingRule, found: list[Sample]) -> dict[Labels, Observation]:
        observed: dict[Labels, Observation] = {}
        for series, value in found:
            data = AlertData(
                labels=series, value=value, external_labels=self._external.labels, external_url=self._external.url
            )
            added = {name: template.expand(data) for name, template in rule.labels.items()}
            labels = series.updated({METRIC_NAME: "", **added, "alertname": rule.name})
            if labels in observed:
                raise RuleEvaluationError(
                    f"{rule.name}: vector contains metrics with the same labelset after applying alert labels: {labels}"
                )
            annotations = {name: template.expand(data) for name, template in rule.annotations.items()}
            observed[labels] = Observation(annotations, value)
        return observed

    def _check_limit(self, rule: Rule, number: int, what: str) -> None:
        if 0 < self.group.limit < number:
            raise LimitExceededError(
                f"{rule.name}: {number} {what} where the group {self.group.name} allows {self.group.limit}: "
                "aggregate in the expression, or raise the group's `limit`"
            )

    def _write(self, evaluated: _Evaluated, samples: list[Sample], at_ms: int) -> None:
        written = set(self._sink.append_all(samples, time_ms=at_ms))
        self._sink.append_all(((labels, STALE) for labels in evaluated.written - written), time_ms=at_ms)
        evaluated.written = written


def _no_alerts(rule: Rule) -> RuleAlerts:
    return _alerts(rule, {}) if isinstance(rule, AlertingRule) else RuleAlerts()


def _alerts(rule: AlertingRule, known: Mapping[Labels, Alert]) -> RuleAlerts:
    return RuleAlerts(hold_ms=rule.hold_ms, keep_firing_ms=rule.keep_firing_ms, alerts=known)


def _kind_and_name(rule: Rule) -> str:
    return f"{'alert' if isinstance(rule, AlertingRule) else 'record'} {rule.name}"


def _numbered(named: list[tuple[str, T]]) -> Iterator[tuple[tuple[str, int], T]]:
    """Names with how often they were there before."""
    numbers: dict[str, count[int]] = defaultdict(count)
    for name, item in named:
        yield (name, next(numbers[name])), item
