"""Runs files of unit tests as promtool does."""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from observability.promql import Labels, MemorySeries, PromQLError, Sample
from observability.promql import parse as parse_expression
from observability.rules.alerts import AlertState
from observability.rules.document import Document, read
from observability.rules.errors import Fault, RuleFileError
from observability.rules.evaluation import External, GroupEvaluation, GroupEvaluator
from observability.rules.files import load
from observability.rules.models import RuleGroup
from observability.rules.testing.models import AlertTest, ExpressionTest, TestFile, TestGroup
from observability.rules.validation import validated

DAY_MS: Final = 86_400_000
MOST_STEPS: Final = 100_000
"""Evaluations of one group of tests."""


@dataclass(frozen=True, slots=True)
class TestReport:
    """What came of a file: how many tests ran, and what was not as expected."""

    __test__ = False

    file: str
    tests: int
    failures: tuple[str, ...]


def run(file: Path) -> TestReport:
    """Run the tests of `file`. Raises `RuleFileError` for a faulty file of tests or rules."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RuleFileError([Fault(str(file), 1, f"cannot be read: {reason}")]) from error
    document = read(text, file=str(file))
    tests = validated(document, TestFile)
    groups = _ordered(_rules(tests, document), tests.group_eval_order)
    failures: list[str] = []
    for index, group in enumerate(tests.tests):
        name = group.name or f"unnamed#{index}"
        failures += [f"{name}: {failure}" for failure in _Run(group, tests, groups, document, index).failures()]
    count = sum(len(group.alert_rule_test) + len(group.promql_expr_test) for group in tests.tests)
    return TestReport(str(file), count, tuple(failures))


def _rules(tests: TestFile, document: Document) -> list[RuleGroup]:
    groups: list[RuleGroup] = []
    for index, pattern in enumerate(tests.rule_files):
        found = sorted(glob.glob(str(Path(document.file).parent / pattern)))  # noqa: PTH207 (patterns may be absolute)
        if not found:
            raise RuleFileError([document.fault(("rule_files", index), f"no rule file matches {pattern}")])
        for path in found:
            groups += load(Path(path))
    return groups


def _ordered(groups: Sequence[RuleGroup], order: Sequence[str]) -> list[RuleGroup]:
    """Those in `order` by it; the others, as with promtool, count as the first."""
    places = {name: place for place, name in reversed(list(enumerate(order)))}
    return sorted(groups, key=lambda group: places.get(group.name, 0))


class _Run:
    """One group of tests: its series arrive as time goes on, rules are evaluated at each interval."""

    def __init__(
        self, group: TestGroup, tests: TestFile, rules: Sequence[RuleGroup], document: Document, index: int
    ) -> None:
        self._group = group
        self._fuzzy = tests.fuzzy_compare
        self._interval_ms = tests.evaluation_interval or 60_000
        self._start_ms = group.start_timestamp
        times = [alert_test.eval_time for alert_test in group.alert_rule_test]
        times += [expression_test.eval_time for expression_test in group.promql_expr_test]
        self._end_ms = self._start_ms + max(times, default=0)
        steps = (self._end_ms - self._start_ms) // self._interval_ms
        if steps > MOST_STEPS:
            raise RuleFileError([document.fault(("tests", index), f"{steps} evaluations: at most {MOST_STEPS}")])
        self._now_ms = self._start_ms
        self._series = MemorySeries(
            retention_ms=self._end_ms - self._start_ms + DAY_MS, most_series=1_000_000, most_samples=2**31
        )
        self._arriving = self._samples(tests)
        external = External(labels=group.external_labels, url=group.external_url)
        self._evaluators = [
            GroupEvaluator(
                rule_group, source=self._series, sink=self._series, now_ms=lambda: self._now_ms, external=external
            )
            for rule_group in rules
        ]

    def failures(self) -> list[str]:
        found: list[str] = []
        for at_ms in range(self._start_ms, self._end_ms + 1, self._interval_ms):
            self._now_ms = at_ms
            while self._arriving and self._arriving[-1][0] <= at_ms:
                time_ms, labels, value = self._arriving.pop()
                self._series.append(labels, time_ms=time_ms, value=value)
            failed = [text for evaluator in self._evaluators for text in _errors(evaluator.evaluate())]
            if failed:
                return [*found, *(f"at {_shown(at_ms - self._start_ms)}: {text}" for text in failed)]
            due = range(at_ms - self._start_ms, at_ms - self._start_ms + self._interval_ms)
            for test in self._group.alert_rule_test:
                found += self._check_alerts(test) if test.eval_time in due else []
        for expression_test in self._group.promql_expr_test:
            found += self._check_expression(expression_test)
        return found

    def _samples(self, tests: TestFile) -> list[tuple[int, Labels, float]]:
        """All samples, the last first: they are taken from the end as they arrive."""
        interval_ms = self._group.interval or tests.evaluation_interval or 60_000
        samples = [
            (self._start_ms + number * interval_ms, given.series, value)
            for given in self._group.input_series
            for number, value in enumerate(given.values)
            if value is not None
        ]
        return sorted(samples, key=lambda sample: sample[0], reverse=True)

    def _check_alerts(self, test: AlertTest) -> list[str]:
        got = [
            (Labels(alert.labels), Labels(alert.annotations))
            for evaluator in self._evaluators
            for rule, alerts in evaluator.alerts()
            for alert in alerts.active
            if rule.name == test.alertname and alert.state is AlertState.FIRING
        ]
        expected = [
            (Labels({**alert.exp_labels, "alertname": test.alertname}), Labels(alert.exp_annotations))
            for alert in test.exp_alerts
        ]
        if sorted(got, key=_alert_order) == sorted(expected, key=_alert_order):
            return []
        exp, had = ([f"{labels} {annotations}" for labels, annotations in side] for side in (expected, got))
        return [
            f"alertname: {test.alertname}, time: {_shown(test.eval_time)}: expected {_listed(exp)}, got {_listed(had)}"
        ]

    def _check_expression(self, test: ExpressionTest) -> list[str]:
        name = f"expr: {test.expr!r}, time: {_shown(test.eval_time)}"
        try:
            got = parse_expression(test.expr).instant(self._series, at_ms=self._start_ms + test.eval_time).samples
        except PromQLError as error:
            return [f"{name}: {error}"]
        expected = [Sample(sample.labels, sample.value) for sample in test.exp_samples]
        if self._equal(got, expected):
            return []
        exp, had = ([f"{labels} {value!r}" for labels, value in side] for side in (expected, got))
        return [f"{name}: expected {_listed(exp)}, got {_listed(had)}"]

    def _equal(self, got: list[Sample], expected: list[Sample]) -> bool:
        pairs = zip(sorted(got, key=_sample_order), sorted(expected, key=_sample_order), strict=False)
        return len(got) == len(expected) and all(
            left.labels == right.labels and self._same(left.value, right.value) for left, right in pairs
        )

    def _same(self, left: float, right: float) -> bool:
        if left == right or (math.isnan(left) and math.isnan(right)):
            return True
        return self._fuzzy and right in {math.nextafter(left, math.inf), math.nextafter(left, -math.inf)}


def _errors(evaluation: GroupEvaluation) -> list[str]:
    return [f"rule {failure.rule.name}: {failure.error}" for failure in evaluation.failures]


def _sample_order(sample: Sample) -> tuple[tuple[str, str], ...]:
    return sample.labels.pairs


def _alert_order(alert: tuple[Labels, Labels]) -> tuple[tuple[tuple[str, str], ...], ...]:
    return alert[0].pairs, alert[1].pairs


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items) if items else "nothing"


def _shown(duration_ms: int) -> str:
    return f"{duration_ms / 1000:g}s"
