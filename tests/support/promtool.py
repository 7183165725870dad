"""A real promtool: what Prometheus itself makes of rules and expressions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

VERSION: Final = "v0.316.0"
"""Of the Go module: Prometheus 3.16."""
INSTALL: Final = (
    f"GOFLAGS= GOTOOLCHAIN=auto go install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool@{VERSION}"
)
TIMEOUT_S: Final = 240.0


@cache
def promtool() -> Path:
    """The program, or the test is skipped; with `WAGGLE_REQUIRE_ENGINES=1` it fails."""
    found = next(
        (program for program in (_in_go_path(), shutil.which("promtool")) if program and _is_recent(program)), None
    )
    if found is None:
        reason = f"no promtool of Prometheus 3 (ranges were closed on both sides before); to get it: {INSTALL}"
        if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found)


def _in_go_path() -> str | None:
    go = shutil.which("go")
    if go is None:
        return None
    path = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout
    program = Path(path.strip()) / "bin" / "promtool"
    return str(program) if program.exists() else None


def _is_recent(program: str) -> bool:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout
    return re.search(r"version [012]\.", told) is None


def run(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it, with `text` as its standard input."""
    return subprocess.run(
        [promtool(), *arguments], input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )


Series = tuple[tuple[str, str], ...]
"""Labels, sorted by name."""
Result = Mapping[Series, float] | str
"""What an expression yields, or the error that it ends with."""
Alerts = frozenset[tuple[Series, Series]]
"""Labels and annotations."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Series, and what is asked about them. `expressions` and `alerts` are (what, time in seconds)."""

    series: Mapping[str, str]
    interval: str = "30s"
    expressions: Sequence[tuple[str, int]] = ()
    alerts: Sequence[tuple[str, int]] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """By scenario number, then by what was asked."""

    expressions: Mapping[tuple[int, str, int], Result]
    alerts: Mapping[tuple[int, str, int], Alerts]


def ask(
    scenarios: Sequence[Scenario], folder: Path, *, rules: Mapping[str, Any] | None = None, evaluation: str = "30s"
) -> Answers:
    """What promtool makes of all scenarios, asked in one process.

    promtool tells results only where they are not as expected. So nothing is expected: all that it finds is told.
    """
    document = {
        "evaluation_interval": evaluation,
        "rule_files": [],
        "tests": [_test(number, scenario) for number, scenario in enumerate(scenarios)],
    }
    if rules is not None:
        (folder / "rules.yml").write_text(yaml.safe_dump(dict(rules), sort_keys=False))
        document["rule_files"] = ["rules.yml"]
        # Without it promtool evaluates groups in an order of chance.
        document["group_eval_order"] = [group["name"] for group in rules["groups"]]
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump(document, sort_keys=False, width=100_000))
    told = run("test", "rules", file)
    assert told.returncode in {0, 1}, told.stderr
    asked = [(n, what, at) for n, s in enumerate(scenarios) for what, at in s.expressions]
    alerts = [(n, what, at) for n, s in enumerate(scenarios) for what, at in s.alerts]
    found, fired = _expressions(told.stderr), _alerts(told.stderr)
    known = len(found) + len(fired)
    faults = told.stderr.count("    expr: ") + told.stderr.count("    alertname: ")
    assert known == faults, told.stderr[-4000:]
    assert "rule: " not in told.stderr, told.stderr[-4000:]
    return Answers(
        {case: found.get(_marked(*case), {}) for case in asked}, {case: fired.get(case, frozenset()) for case in alerts}
    )


def _test(number: int, scenario: Scenario) -> dict[str, Any]:
    return {
        "name": f"s{number}",
        "interval": scenario.interval,
        "external_labels": dict(scenario.external_labels),
        "input_series": [{"series": name, "values": values} for name, values in scenario.series.items()],
        "promql_expr_test": [
            {"expr": _marked(number, what, at), "eval_time": f"{at}s", "exp_samples": []}
            for what, at in scenario.expressions
        ],
        "alert_rule_test": [
            {"alertname": what, "eval_time": f"{at}s", "exp_alerts": []} for what, at in scenario.alerts
        ],
    }


def _marked(number: int, what: str, at: int) -> str:
    """The expression with a comment that tells it from the same one elsewhere."""
    return f"{what} # {number} {at}"


_QUOTED: Final = r'"(?:\\.|[^"\\])*"'
_LABELS: Final = rf"\{{(?:[^\"{{}}]|{_QUOTED})*\}}"
_EXPRESSION: Final = re.compile(
    rf"^    expr: (?P<expr>{_QUOTED}), time: \S+?,(?: err: (?P<error>.*)|\s*\n\s+exp: nil\n\s+got: (?P<got>.*))$",
    re.MULTILINE,
)
_SAMPLE: Final = re.compile(rf"(?P<labels>{_LABELS}) (?P<value>[^,\s]+)(?:, |$)")
_ALERTS: Final = re.compile(
    r"^    name: s(?P<number>\d+),\n    alertname: (?P<name>\w+), time: (?P<time>\S+), \s*\n\s+exp:\[\], \s*\n\s+got:(?P<got>\[.*?\n\s*\])$",
    re.MULTILINE | re.DOTALL,
)
_ALERT: Final = re.compile(rf"Labels:(?P<labels>{_LABELS})\s+Annotations:(?P<annotations>{_LABELS})")
_PAIR: Final = re.compile(rf"(\w+)=({_QUOTED})")
_UNITS: Final = {"h": 3600, "m": 60, "s": 1}


def _expressions(told: str) -> dict[str, Result]:
    return {
        json.loads(match["expr"]): match["error"] or dict(_samples(match["got"]))
        for match in _EXPRESSION.finditer(told)
    }


def _samples(text: str) -> Iterable[tuple[Series, float]]:
    position = 0
    for match in _SAMPLE.finditer(text):
        assert match.start() == position, text
        position = match.end()
        yield _series(match["labels"]), float(match["value"])
    assert position == len(text), text


def _alerts(told: str) -> dict[tuple[int, str, int], Alerts]:
    return {
        (int(match["number"]), match["name"], _seconds(match["time"])): frozenset(
            (_series(alert["labels"]), _series(alert["annotations"])) for alert in _ALERT.finditer(match["got"])
        )
        for match in _ALERTS.finditer(told)
    }


def _series(text: str) -> Series:
    return tuple(sorted((name, json.loads(value)) for name, value in _PAIR.findall(text)))


def _seconds(text: str) -> int:
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([hms])", text))
