"""Our evaluation of expressions and rules against promtool's: generated cases, no difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from observability import rules as rule_files
from observability.promql import Labels, MemorySeries, PromQLError, Windows, parse
from observability.promql.matchers import Selector
from observability.rules import testing
from observability.rules.testing import notation
from tests.support import promtool
from tests.support.alert_cases import AlertCases
from tests.support.promql_cases import INTERVAL_S, Cases
from tests.support.promtool import Alerts, Answers, Result, Scenario, ask

SEEDS = (1, 2, 3)
SCENARIOS = 16
EXPRESSIONS = 30
FEW = 4
ALERT_SCENARIOS = 10
CLOSE = 1e-12
"""Relative: promtool adds the series of a group in an order of chance, and powers come from another library."""

Case = tuple[int, str, int]


@pytest.fixture(scope="module", params=SEEDS)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Scenario], Answers]:
    """Scenarios, and what promtool makes of them."""
    cases = Cases(request.param)
    scenarios = [cases.scenario(EXPRESSIONS) for _ in range(SCENARIOS)]
    return scenarios, ask(scenarios, tmp_path_factory.mktemp("expressions"))


def ours(scenarios: list[Scenario]) -> dict[Case, Result]:
    """What our evaluator makes of all expressions."""
    return {
        (number, text, at): evaluated(source, text, at)
        for number, scenario in enumerate(scenarios)
        for source in [stored(scenario)]
        for text, at in scenario.expressions
    }


def stored(scenario: Scenario) -> MemorySeries:
    source = MemorySeries(retention_ms=10**9)
    for name, values in scenario.series.items():
        labels = notation.series(name)
        for number, value in enumerate(notation.values(values)):
            if value is not None:
                source.append(labels, time_ms=number * INTERVAL_S * 1000, value=value)
    return source


def evaluated(source: MemorySeries, text: str, at: int) -> Result:
    try:
        samples = parse(text).instant(source, at_ms=at * 1000).samples
    except PromQLError as error:
        return str(error)
    return {labels.pairs: value for labels, value in samples}


def differences(found: Mapping[Case, Result], expected: Mapping[Case, Result]) -> list[str]:
    return [
        f"{text}  at {at}s in {number}\n    ours:     {shown(found[case])}\n    promtool: {shown(expected[case])}"
        for case in expected
        for number, text, at in [case]
        if not same(found[case], expected[case])
    ]


def same(left: Result, right: Result) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str) and same_error(left, right)
    return left.keys() == right.keys() and all(close(left[key], right[key]) for key in left)


def same_error(left: str, right: str) -> bool:
    """Errors of evaluation begin alike; parsers word theirs differently."""
    return "parse error" in right or left[:30] == right[:30]


def close(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=CLOSE)


def shown(result: Result) -> str:
    if isinstance(result, str):
        return f"error: {result}"
    return ", ".join(f"{Labels(key)} {value!r}" for key, value in sorted(result.items())) or "nothing"


def test_generated_expressions_yield_what_promtool_says(asked: tuple[list[Scenario], Answers]) -> None:
    scenarios, answers = asked

    found = differences(ours(scenarios), answers.expressions)

    assert not found, f"{len(found)} of {len(answers.expressions)} differ:\n" + "\n".join(found)


def test_the_cases_yield_something_and_fail_sometimes(asked: tuple[list[Scenario], Answers]) -> None:
    results = list(asked[1].expressions.values())

    assert len(results) >= 400
    assert sum(bool(result) and not isinstance(result, str) for result in results) > len(results) / 2
    assert any(isinstance(result, str) for result in results)


def test_ranges_closed_on_the_left_as_before_prometheus_3_are_found_out(
    asked: tuple[list[Scenario], Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios, answers = asked
    left_open = MemorySeries.window

    def closed(self: MemorySeries, selector: Selector, *, after_ms: int, until_ms: int) -> Windows:
        return left_open(self, selector, after_ms=after_ms - 1, until_ms=until_ms)

    monkeypatch.setattr(MemorySeries, "window", closed)
    few = {case: answer for case, answer in answers.expressions.items() if case[0] < FEW}

    assert differences(ours(scenarios[:FEW]), few)


def fired(rules: str, scenario: Scenario, interval_s: int) -> tuple[dict[tuple[str, int], Alerts], MemorySeries]:
    """The alerts that fire when they are asked for, and the series that rules wrote."""
    step_ms, now = int(scenario.interval.removesuffix("s")) * 1000, [0]
    samples = [
        (number * step_ms, notation.series(name), value)
        for name, values in scenario.series.items()
        for number, value in enumerate(notation.values(values))
        if value is not None
    ]
    source = MemorySeries(retention_ms=10**9)
    external = rule_files.External(labels=scenario.external_labels)
    groups = [
        rule_files.GroupEvaluator(group, source=source, sink=source, now_ms=lambda: now[0], external=external)
        for group in rule_files.parse(rules, file="rules.yml")
    ]
    found: dict[tuple[str, int], Alerts] = {}
    for at in range(0, max(at for _, at in scenario.alerts) + 1, interval_s):
        now[0] = at * 1000
        for time_ms, labels, value in samples:
            if now[0] - interval_s * 1000 < time_ms <= now[0]:
                source.append(labels, time_ms=time_ms, value=value)
        for group in groups:
            assert not group.evaluate().failures
        for name, asked_at in scenario.alerts:
            if at <= asked_at < at + interval_s:
                found[name, asked_at] = firing(groups, name)
    return found, source


def firing(groups: list[rule_files.GroupEvaluator], name: str) -> Alerts:
    return frozenset(
        (Labels(alert.labels).pairs, Labels(alert.annotations).pairs)
        for group in groups
        for rule, alerts in group.alerts()
        for alert in alerts.active
        if rule.name == name and alert.state == "firing"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_alerts_fire_when_promtool_says(seed: int, tmp_path: Path) -> None:
    cases = AlertCases(seed)
    rules = cases.rules()
    scenarios = [cases.scenario() for _ in range(ALERT_SCENARIOS)]

    answers = ask(scenarios, tmp_path, rules=rules)

    alerts: dict[Case, Alerts] = {}
    series: dict[Case, Result] = {}
    for number, scenario in enumerate(scenarios):
        found, source = fired(yaml.safe_dump(rules, sort_keys=False), scenario, 30)
        alerts |= {(number, name, at): found[name, at] for name, at in scenario.alerts}
        series |= {(number, text, at): evaluated(source, text, at) for text, at in scenario.expressions}
    wrong = [
        f"{name} at {at}s in {number}:\n    ours:     {sorted(alerts[case])}\n    promtool: {sorted(expected)}"
        for case, expected in answers.alerts.items()
        for number, name, at in [case]
        if alerts[case] != expected
    ]
    assert not wrong, f"{len(wrong)} of {len(answers.alerts)} differ:\n" + yaml.safe_dump(rules) + "\n".join(wrong)
    assert not differences(series, answers.expressions)
    assert sum(bool(expected) for expected in answers.alerts.values()) > len(answers.alerts) / 10


class TestFiles:
    """Files that both read: neither may take what the other refuses, save what is outside the subset."""

    RULES = """\
groups:
- name: g
  interval: 30s
  limit: 10
  query_offset: 10s
  labels: {team: search}
  rules:
  - record: load:sum
    expr: sum(load)
  - alert: High
    expr: load > 5
    for: 1m
    keep_firing_for: 1m
    labels: {severity: warning, paged: yes}
    annotations:
      summary: '{{ $labels.job }} at {{ printf "%.1f" $value }}'
"""

    @pytest.mark.parametrize(
        ("before", "after", "good"),
        [
            ("", "", True),
            ("limit: 10", "limit: ten", False),
            ("interval: 30s", "interval: 30 s", False),
            ("interval: 30s", "every: 30s", False),
            ("name: g", "called: g", False),
            ("sum(load)", "sum(load", False),
            ("sum(load)", "rate(load)", False),
            ("record: load:sum", "record: load sum {}", False),
            ("record: load:sum", "record: load:sum\n    for: 1m", False),
            ("record: load:sum", "record: load:sum\n    record: twice", False),
            ("for: 1m", "for: 1.5m", False),
            ("for: 1m", "for: 1h30m", True),
            ("for: 1m", "for: 0", True),
            ("for: 1m", "for: ", True),
            ("severity: warning", "severity: ", True),
            ("severity: warning", "__name__: x", False),
            ("{{ $labels.job }}", "{{ $labels.job }", False),
            ("{{ $labels.job }}", "{{ $tags.job }}", False),
            ("{{ $labels.job }}", "{{- .Labels.job | printf `%s` -}}", True),
            ("alert: High", "alert: ", False),
            ("expr: load > 5", "expr: ", False),
            ("- name: g", "- name: g\n- name: g", False),
        ],
    )
    def test_rule_files_are_taken_or_refused_alike(self, tmp_path: Path, before: str, after: str, good: bool) -> None:
        assert before in self.RULES
        file = tmp_path / "rules.yml"
        file.write_text(self.RULES.replace(before, after, 1) if before else self.RULES)

        told = promtool.run("check", "rules", "--lint=none", file)

        assert (told.returncode == 0) == good, told.stderr
        assert takes(file) == good

    @pytest.mark.parametrize(
        ("before", "after"),
        [("", ""), ("value: 12", "value: 13"), ("at 6.0", "at 7.0"), ("eval_time: 2m", "eval_time: 0s"),
         ("6x9", "6x2 stale"), ("exp_alerts", "exp_alarms"), ("6+0x9", "6+1x9")],
    )  # fmt: skip
    def test_unit_tests_pass_or_fail_alike(self, tmp_path: Path, before: str, after: str) -> None:
        (tmp_path / "rules.yml").write_text(self.RULES)
        tests = """\
rule_files: [rules.yml]
evaluation_interval: 30s
tests:
- interval: 30s
  input_series:
  - {series: 'load{job="embed"}', values: 6x9}
  - {series: 'load{job="other"}', values: 6+0x9}
  promql_expr_test:
  - {expr: "load:sum", eval_time: 2m, exp_samples: [{labels: 'load:sum{team="search"}', value: 12}]}
  alert_rule_test:
  - eval_time: 2m
    alertname: High
    exp_alerts:
    - exp_labels: {severity: warning, paged: yes, team: search, job: embed}
      exp_annotations: {summary: embed at 6.0}
    - exp_labels: {severity: warning, paged: yes, team: search, job: other}
      exp_annotations: {summary: other at 6.0}
"""
        assert before in tests
        file = tmp_path / "tests.yml"
        file.write_text(tests.replace(before, after, 1) if before else tests)

        told = promtool.run("test", "rules", file)

        assert (told.returncode == 0) == (not before), told.stderr
        assert passes(file) == (not before)


def takes(file: Path) -> bool:
    try:
        return bool(rule_files.load(file))
    except rule_files.RuleFileError:
        return False


def passes(file: Path) -> bool:
    try:
        return not testing.run(file).failures
    except rule_files.RuleFileError:
        return False
