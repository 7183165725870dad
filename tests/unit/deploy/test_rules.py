"""Every shipped rule is tested, explained by a runbook, and asks for series that there are."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import typer
import yaml

from cli.main import app
from contracts import topology
from contracts.declarations import Discard
from deploy import rules as shipped
from observability import rules
from observability.rules import AlertingRule
from observability.rules.testing import run
from tests.support.series_names import names_in, series_names

ROOT = Path(__file__).parents[3]
FILES = sorted(shipped.FOLDER.glob("*.yaml"))
TESTS = sorted((ROOT / "tests" / "rules").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = [
    rule
    for file in FILES
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
TESTED = [
    (test["alertname"], {alert["exp_labels"]["severity"] for alert in test.get("exp_alerts", ())}, test["eval_time"])
    for file in TESTS
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
    for test in group["alert_rule_test"]
]


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_unit_tests_pass(file: Path) -> None:
    report = run(file)

    assert report.tests > 0
    assert report.failures == ()


def test_every_file_has_a_file_of_tests() -> None:
    assert [file.name for file in FILES] == [file.name for file in TESTS]


def test_every_alert_is_tested_to_fire_at_each_severity_and_to_be_silent() -> None:
    fires = {(name, severity) for name, severities, _ in TESTED for severity in severities}
    silent = {name for name, severities, _ in TESTED if not severities}

    assert {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS} - fires == set()
    assert set(NAMES) - silent == {"Watchdog"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_what_is_the_matter(rule: dict) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["labels"]["layer"] in {"application", "service", "infrastructure", "business"}
    assert rule["labels"]["component"]
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_an_alert_of_one_name_and_severity_is_of_one_rule() -> None:
    """Of two rules with equal labels one would end what the other says."""
    counts = Counter((rule["alert"], rule["labels"]["severity"]) for rule in ALERTS)

    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_says_why_there_is_an_alert(name: str) -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in FILES)

    assert re.search(rf"^ *# .*\n *- alert: {name}\n", text, re.MULTILINE)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")

    assert sorted(page.stem for page in RUNBOOKS.glob("*.md") if page.stem != "README") == NAMES
    assert sorted(set(re.findall(r"\]\((\w+)\.md\)", index))) == NAMES


def test_runbooks_name_commands_that_there_are() -> None:
    root = typer.main.get_command(app)
    named = {
        line.partition("#")[0].strip()
        for page in RUNBOOKS.glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("waggle ")
    }
    assert len(named) > 10
    assert [line for line in sorted(named) if not _is_command(root, line.split()[1:])] == []


def _is_command(command, words: list[str]) -> bool:
    while hasattr(command, "get_command"):
        if not words or (command := command.get_command(None, words[0])) is None:
            return False
        words = words[1:]
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    return {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_series_that_there_are(rule: dict) -> None:
    assert names_in(rule["expr"]) - series_names() == set()


def test_deaths_are_told_at_once() -> None:
    """Three missed heartbeats (9 s), a judgement (2 s): less than 15 s in all only if rules lose no time."""
    group, _ = rules.load(shipped.FOLDER / "fleet.yaml")
    told = {rule.name: rule.hold_ms for rule in group.rules if isinstance(rule, AlertingRule)}

    assert group.interval_ms is not None
    assert group.interval_ms <= 3_000
    assert (told["InstanceDead"], told["ServiceDown"]) == (0, 0)


def test_streams_that_forget_the_oldest_may_be_full() -> None:
    """All but that of dead letters, which are kept for people."""
    forgetful = {stream.name for stream in topology.STREAMS if stream.discard is Discard.OLD} - {topology.DLQ.name}
    forgetful |= {f"KV_{bucket.name}" for bucket in topology.KEY_VALUES if bucket.discard is Discard.OLD}
    (rule,) = [rule for rule in RULES if rule.get("record") == "waggle:stream_used:ratio"]
    (left_out,) = re.findall(r'stream!~"([^"]*)"', rule["expr"])

    assert set(left_out.split("|")) == forgetful


def test_waiting_is_judged_for_every_consumer_of_work() -> None:
    patterns = [
        re.findall(r'consumer=~"([^"]*)"', rule["expr"])[0]
        for rule in ALERTS
        if rule["alert"] in {"QuestionsWait", "DocumentsWait"}
    ]
    others = {topology.KEEPER_ADVISORIES, topology.OPERATORS}
    work = [consumer.durable for consumer in topology.CONSUMERS if consumer not in others]

    assert [name for name in work if not any(re.fullmatch(pattern, name) for pattern in patterns)] == []
