"""Rule files: what is taken, and where it is said what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.rules import AlertingRule, RecordingRule, RuleFileError, load, parse
from observability.rules.templates import TAKEN

OUTSIDE = "is outside the PromQL subset that Waggle evaluates: see docs/rules.md for what to use instead"

GOOD = """\
groups:
- name: queries
  interval: 30s
  query_offset: 10s
  limit: 5
  labels: {team: search, severity: info}
  rules:
  - record: job:queries:rate5m
    expr: sum by (job) (rate(queries_total[5m]))
  - alert: SlowAnswers
    expr: |
      histogram_quantile(0.95, sum by (le) (rate(seconds_bucket[5m])))
        > 2
    for: 1h30m
    keep_firing_for: 5m
    labels: {severity: warning, paged: yes, page: 5}
    annotations:
      summary: "{{ $value | humanizeDuration }} for {{ $labels.job }}"
"""


def faults(text: str) -> list[str]:
    with pytest.raises(RuleFileError) as raised:
        parse(text, file="rules.yml")
    return [str(fault) for fault in raised.value.faults]


def test_a_group_is_read_with_all_its_fields() -> None:
    (group,) = parse(GOOD, file="rules.yml")

    assert (group.name, group.interval_ms, group.query_offset_ms, group.limit) == ("queries", 30_000, 10_000, 5)
    recording, alerting = group.rules
    assert isinstance(recording, RecordingRule)
    assert isinstance(alerting, AlertingRule)
    assert (recording.name, recording.labels) == ("job:queries:rate5m", {"team": "search", "severity": "info"})
    assert (alerting.hold_ms, alerting.keep_firing_ms) == (5_400_000, 300_000)
    assert {name: template.text for name, template in alerting.labels.items()} == {
        "team": "search", "severity": "warning", "paged": "yes", "page": "5",
    }  # fmt: skip
    assert (recording.line, alerting.line) == (8, 10)


@pytest.mark.parametrize("text", ["", "groups:", "groups: []", "groups:\n- name: a\n  rules:", "# nothing"])
def test_a_file_may_hold_no_rules(text: str) -> None:
    assert [group.rules for group in parse(text, file="rules.yml")] in ([], [()])


def test_every_fault_is_told_with_its_line() -> None:
    assert faults("""\
groups:
- name: a
  rules:
  - alert: High
    expr: max_over_time(x[5m:1m])
    annotations:
      summary: "{{ if $value }}high{{ end }}"
  - record: a:b
    expr: sum(x
    for: 5m
  - record: a b
    expr: x
    labels:
      __name__: y
- name: a
  rules:
  - expr: x
  - alert: Both
    record: both
    expr: x
  - alert: Empty
""") == [
        f"rules.yml:5: the subquery x[5m:1m] {OUTSIDE}",
        f"rules.yml:7: summary: if in a template is not taken: only {TAKEN} are",
        "rules.yml:9: unclosed left parenthesis",
        "rules.yml:10: for has no meaning in a recording rule",
        "rules.yml:11: 'a b' is no name for a metric",
        "rules.yml:14: '__name__' is no name for a label",
        "rules.yml:15: the group a is there twice in this file",
        "rules.yml:17: a rule needs either `record` or `alert`, and not both",
        "rules.yml:18: a rule needs either `record` or `alert`, and not both",
        "rules.yml:21: a rule needs an expression: `expr`",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("groups:\n- name: a\n  title: b\n", "3: unknown field title"),
        ("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: x\n    during: 5m\n", "6: unknown field during"),
        ("rules: []\n", "1: unknown field rules"),
        ("groups:\n- name: a\n  interval: 5 minutes\n", "3: interval: '5 minutes' is no duration: write it like 30s, 5m or 1h30m"),
        ("groups:\n- name: a\n  limit: -1\n", "3: limit: Input should be greater than or equal to 0"),
        ("groups:\n- name: a\n  rules: {}\n", "3: rules has to be a list"),
        ("groups:\n- name: a\n  labels: [x]\n", "3: labels has to be a mapping"),
        ("groups:\n- three\n", "2: an item of groups has to be a mapping"),
        ("groups:\n- name: a\n  name: b\n", "3: name is there twice"),
        ("groups:\n- rules: []\n", "2: a group needs a name"),
        ('groups:\n- name: "a\\ud800"\n', "2: an escape stands for half a character"),
        ("groups: [\n", "2: no YAML: expected the node content, but found '<stream end>'"),
        ("a: b: c\n", "1: no YAML: mapping values are not allowed here"),
        ("groups:\n- <<: {name: a}\n", "2: the merge key << is not taken: write the fields out"),
        ("a: &a [*a]\n", "1: too large or too deep once its aliases are followed"),
    ],
)  # fmt: skip
def test_a_fault_of_form_is_told_with_its_line(text: str, fault: str) -> None:
    assert faults(text) == [f"rules.yml:{fault}"]


def test_a_few_lines_that_stand_for_billions_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

    assert faults("\n".join(lines)) == ["rules.yml:1: too large or too deep once its aliases are followed"]


def test_one_fault_refuses_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(GOOD + "- name: worse\n  rules:\n  - alert: A\n    expr: x +\n")

    with pytest.raises(RuleFileError):
        load(file)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"none.yml:1: cannot be read: No such file"):
        load(tmp_path / "none.yml")
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RuleFileError, match="cannot be read"):
        load(tmp_path / "binary.yml")
