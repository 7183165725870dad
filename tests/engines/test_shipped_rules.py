"""The shipped rules and their unit tests, as Prometheus' own tool finds them."""

from __future__ import annotations

from pathlib import Path

from deploy import rules as shipped
from tests.support import promtool

TESTS = Path(__file__).parents[1] / "rules"


def test_prometheus_takes_the_rules() -> None:
    told = promtool.run("check", "rules", "--lint=all", "--lint-fatal", *sorted(shipped.FOLDER.glob("*.yaml")))

    assert told.returncode == 0, told.stdout + told.stderr


def test_their_unit_tests_pass() -> None:
    told = promtool.run("test", "rules", *sorted(TESTS.glob("*.yaml")))

    assert told.returncode == 0, (told.stdout + told.stderr)[-4000:]
