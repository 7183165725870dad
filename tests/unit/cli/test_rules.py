"""`waggle rules`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

GOOD = "groups:\n- name: g\n  rules:\n  - {alert: High, expr: load > 5}\n  - {record: 'load:sum', expr: sum(load)}\n"
BAD = "groups:\n- name: g\n  rules:\n  - {alert: High, expr: 'sqrt(load)'}\n"
TESTS = """\
rule_files: [good.yml]
tests:
- input_series: [{series: load, values: 6x5}]
  promql_expr_test:
  - {expr: "load:sum", eval_time: 2m, exp_samples: [{labels: "load:sum", value: 6}]}
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.yml").write_text(GOOD)
    Path("bad.yml").write_text(BAD)
    Path("tests.yml").write_text(TESTS)
    Path("failing.yml").write_text(TESTS.replace("value: 6", "value: 7"))
    Path("faulty.yml").write_text(TESTS.replace("tests:", "testz:"))


def test_good_files_are_counted(waggle) -> None:
    ran = waggle("rules", "check", "good.yml")

    assert (ran.code, ran.out, ran.err) == (0, "good.yml: 1 group, 2 rules\n", "")


def test_faults_are_told_with_file_and_line(waggle) -> None:
    ran = waggle("rules", "check", "good.yml", "bad.yml", "none.yml")

    assert ran.code == 1
    assert "bad.yml:4: the function sqrt() is outside the PromQL subset" in ran.err
    assert "none.yml:1: cannot be read: No such file or directory" in ran.err
    assert "2 files of 3 would be refused" in ran.err
    assert ran.out == "good.yml: 1 group, 2 rules\n"


def test_faults_as_json(waggle) -> None:
    ran = waggle("rules", "check", "good.yml", "bad.yml", "--json")

    told = json.loads(ran.out)
    assert (ran.code, told["ok"]) == (1, False)
    assert told["files"][0] == {"file": "good.yml", "ok": True, "groups": 1, "rules": 2}
    assert [fault["line"] for fault in told["files"][1]["faults"]] == [4]


def test_tests_that_hold_are_counted(waggle) -> None:
    ran = waggle("rules", "test", "tests.yml")

    assert (ran.code, ran.out, ran.err) == (0, "tests.yml: 1 test passed\n", "")


def test_tests_that_fail_say_what_was_found(waggle) -> None:
    ran = waggle("rules", "test", "tests.yml", "failing.yml", "faulty.yml")

    assert ran.code == 1
    assert "failing.yml: unnamed#0: expr: 'load:sum', time: 120s: expected load:sum 7.0, got load:sum 6.0" in ran.err
    assert "faulty.yml:2: unknown field testz" in ran.err
    assert "2 files of 3 failed" in ran.err


def test_failures_as_json(waggle) -> None:
    ran = waggle("rules", "test", "failing.yml", "--json")

    (told,) = json.loads(ran.out)["files"]
    assert (ran.code, told["ok"], told["tests"], len(told["failures"])) == (1, False, 1, 1)


def test_without_files_it_is_wrong_usage(waggle) -> None:
    assert waggle("rules", "check").code == 2
