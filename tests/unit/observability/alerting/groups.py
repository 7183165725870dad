"""Groups of rules, outcomes and states for tests of rules at work."""

from __future__ import annotations

from datetime import UTC, datetime

from observability.alerting import GroupKey, Outcome
from observability.promql import Labels, MemorySeries
from observability.rules import Alert, GroupEvaluator, RuleGroup, parse

RULES = """
groups:
- name: fleet
  interval: 20ms
  rules:
  - {record: 'load:double', expr: 'load * 2', labels: {made: here}}
  - {alert: Hot, expr: 'load > 5', labels: {severity: critical}, annotations: {summary: 'load of {{ $labels.job }}'}}
  - {alert: Slow, expr: 'load > 1', for: 1m}
"""
KEY = GroupKey("rules.yml", "fleet")


def group(text: str = RULES, *, file: str = "rules.yml") -> RuleGroup:
    (parsed,) = parse(text, file=file)
    return parsed


class House:
    """A group, evaluated by hand: each evaluation 10 s after the one before."""

    def __init__(self, text: str = RULES) -> None:
        self.series = MemorySeries()
        self.now_ms = 1_000_000
        self.evaluator = self.started(text)

    def started(self, text: str = RULES) -> GroupEvaluator:
        return GroupEvaluator(group(text), source=self.series, sink=self.series, now_ms=lambda: self.now_ms)

    def evaluated(self, **load: float) -> Outcome:
        self.now_ms += 10_000
        for job, value in load.items():
            self.series.append(Labels({"__name__": "load", "job": job}), time_ms=self.now_ms, value=value)
        evaluation = self.evaluator.evaluate()
        return Outcome(
            group=self.evaluator.group,
            state=self.evaluator.state(),
            transitions=evaluation.transitions,
            evaluation=evaluation,
            took_s=0.5,
        )

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)


def alerts_of(outcome: Outcome, rule: int = 0) -> tuple[Alert, ...]:
    """The alerts of an alerting rule of the group, by its place among those."""
    assert outcome.state is not None
    return outcome.state.rules[rule].alerts
