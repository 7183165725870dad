"""The examples of docs/rules.md, docs/observer.md and the README do what they say."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from observability.notifications.configuration import parse_config
from observability.rules.testing import run

ROOT = Path(__file__).parents[4]
DOCS = ROOT / "docs" / "rules.md"


def test_the_example_is_a_rule_file_and_its_tests_pass(tmp_path: Path) -> None:
    rules, tests = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "rules_test.yml").write_text(tests)

    report = run(tmp_path / "rules_test.yml")

    assert (report.tests, report.failures) == (3, ())


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_rule_of_the_readme_does_what_its_tests_say(page: str, tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    rules, tests, told = examples[:3]
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.yaml").write_text(rules)
    (tmp_path / "mine_test.yaml").write_text(tests)

    report = run(tmp_path / "mine_test.yaml")

    assert (report.tests, report.failures) == (2, ())
    assert parse_config(told).route.receiver == "team"


def test_the_watchdog_of_the_observers_page_is_routed_outside() -> None:
    (example,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "observer.md").read_text(encoding="utf-8"), re.DOTALL
    )

    (watchdog,) = parse_config(textwrap.dedent("  " + example.lstrip())).route.routes

    assert watchdog.receiver == "outside"
