"""Unit tests of rules: the notation of series, and what is told when something is not as expected."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from observability.promql.staleness import is_stale
from observability.rules import RuleFileError
from observability.rules.testing import notation, run

RULES = """\
groups:
- name: second
  rules:
  - record: twice
    expr: once * 2
- name: first
  rules:
  - {record: once, expr: sum(load)}
  - alert: High
    expr: load > 5
    for: 1m
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.job }} in {{ $externalLabels.site }} at {{ $value }}"}
"""
TESTS = """\
rule_files: [rules.yml]
evaluation_interval: 30s
group_eval_order: [first, second]
tests:
- name: load
  interval: 30s
  external_labels: {site: north}
  input_series:
  - series: load{job="embed"}
    values: 2 6x4 stale
  alert_rule_test:
  - eval_time: 1m
    alertname: High
  - eval_time: 100s
    alertname: High
    exp_alerts:
    - exp_labels: {severity: warning, job: embed}
      exp_annotations: {summary: embed in north at 6}
  - {eval_time: 3m, alertname: High}
  promql_expr_test:
  - expr: twice
    eval_time: 30s
    exp_samples: [{labels: twice, value: 12}]
  - expr: time() * -Inf
    eval_time: 2m
    exp_samples: [{labels: "{}", value: -.inf}]
"""


def failures_of(tmp_path: Path, tests: str, rules: str = RULES) -> list[str]:
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "tests.yml").write_text(tests)
    return list(run(tmp_path / "tests.yml").failures)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2 3", [1, 2, 3]),
        ("0+10x3", [0, 10, 20, 30]),
        ("3-1x2", [3, 2, 1]),
        ("-2-2x1", [-2, -4]),
        ("5x2", [5, 5, 5]),
        ("1 _ 2 _x2", [1, None, 2, None, None]),
        ("1e3 .5 +Inf -Inf", [1000, 0.5, math.inf, -math.inf]),
        ("0x2 6+0x1", [0, 0, 0, 6, 6]),
        ("0.1+0.1x3", [0.1, 0.2, 0.1 + 0.1 + 0.1, 0.1 + 0.1 + 0.1 + 0.1]),
        ("", []),
    ],
)
def test_values_are_expanded(text: str, values: list[float | None]) -> None:
    assert notation.values(text) == values


def test_markers_and_nan_are_told_apart() -> None:
    stale, nan = notation.values("stale NaN")
    assert stale is not None
    assert nan is not None
    assert is_stale(stale)
    assert math.isnan(nan)
    assert not is_stale(nan)


@pytest.mark.parametrize("text", ["a", "1+1", "1+x5", "{{schema:0}}", "1x999999999", "_+1x5", "1 +1x"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"value|how often"):
        notation.values(text)


@pytest.mark.parametrize("text", ['x{a=~"b"}', "x offset 5m", "sum(x)", "5", 'x{a="1" or b="2"}'])
def test_what_names_no_series_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no series"):
        notation.series(text)


def test_tests_that_hold_fail_nowhere(tmp_path: Path) -> None:
    assert failures_of(tmp_path, TESTS) == []


@pytest.mark.parametrize(
    ("before", "after", "failure"),
    [
        ("value: 12", "value: 13", "load: expr: 'twice', time: 30s: expected twice 13.0, got twice 12.0"),
        ("labels: twice", "labels: thrice", "load: expr: 'twice', time: 30s: expected thrice 12.0, got twice 12.0"),
        ("embed in north at 6}", "all is well}", "alertname: High, time: 100s: expected"),
        ("eval_time: 1m", "eval_time: 90s", "alertname: High, time: 90s: expected nothing, got"),
        ("[first, second]", "[second, first]", "expr: 'twice', time: 30s: expected twice 12.0, got twice 4"),
        ("expr: twice", "expr: 'twice['", "expr: 'twice[', time: 30s: "),
        ("6x4 stale", "6x9", "alertname: High, time: 180s: expected nothing, got"),
    ],
)
def test_what_is_not_as_expected_is_told(tmp_path: Path, before: str, after: str, failure: str) -> None:
    assert before in TESTS

    found = failures_of(tmp_path, TESTS.replace(before, after))

    assert len(found) == 1
    assert failure in found[0]


def test_a_rule_that_cannot_be_evaluated_is_told_with_its_time(tmp_path: Path) -> None:
    found = failures_of(tmp_path, TESTS, RULES.replace("once * 2", 'once * on () {__name__=~"once|load"}'))

    assert len(found) == 1
    assert found[0].startswith("load: at 0s: rule twice: found duplicate series")


def test_values_may_differ_in_their_last_place_where_that_is_asked_for(tmp_path: Path) -> None:
    test = TESTS.replace("value: 12", f"value: {math.nextafter(12, 13)!r}")

    assert len(failures_of(tmp_path, test)) == 1
    assert failures_of(tmp_path, "fuzzy_compare: true\n" + test) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("rule_files: [rules.yml]", "rule_files: [none*.yml]", "tests.yml:1: no rule file matches none*.yml"),
        ("alertname: High\n  - eval_time: 100s", "eval_time: 100s", "eval_time is there twice"),
        ("values: 2 6x4 stale", "values: 2 6y4", "tests.yml:10: values: '6y4' is no value of a series"),
        ("series: load{", "series: load{{", "tests.yml:9: series: "),
        ("tests:", "testz:", "tests.yml:4: unknown field testz"),
        ("eval_time: 1m", "eval_time: 100y", "evaluations: at most"),
    ],
)
def test_faults_of_the_file_are_told_with_their_line(tmp_path: Path, before: str, after: str, fault: str) -> None:
    assert before in TESTS

    with pytest.raises(RuleFileError) as raised:
        failures_of(tmp_path, TESTS.replace(before, after, 1))

    assert fault in str(raised.value)


def test_a_fault_of_the_rules_is_told_in_their_file(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"rules.yml:5: .*sqrt"):
        failures_of(tmp_path, TESTS, RULES.replace("once * 2", "sqrt(once)"))
