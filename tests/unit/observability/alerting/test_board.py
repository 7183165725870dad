"""All alerts now, and as Prometheus' API shows them."""

from __future__ import annotations

import math

import pytest

from observability.alerting import AlertBoard, Outcome, RuleReport, event_of
from observability.alerting.prometheus import NEVER, alerts_data, exponential, rules_data
from observability.notifications.matchers import Matchers
from observability.rules import AlertingRule, AlertState, RecordingRule
from tests.unit.observability.alerting.groups import KEY, RULES, House, alerts_of, group


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def board(house: House) -> AlertBoard:
    """`Hot` of a fires, of b is over; `Slow` of all waits."""
    board = AlertBoard()
    board.put(house.evaluated(a=7, b=8))
    board.put(house.evaluated(a=7, b=3))
    return board


def shown(board: AlertBoard, **options) -> list[str]:
    return [f"{each.alert.labels['alertname']} {each.alert.labels['job']}" for each in board.alerts(**options)]


def test_those_that_fire_come_first(board: AlertBoard) -> None:
    assert shown(board) == ["Hot a", "Slow a", "Slow b"]


def test_alerts_are_chosen_by_state_severity_and_labels(board: AlertBoard) -> None:
    assert shown(board, states=[AlertState.RESOLVED]) == ["Hot b"]
    assert shown(board, severities=["critical"]) == ["Hot a"]
    assert shown(board, severities=["none"], matchers=Matchers.parse(["job=b"])) == ["Slow b"]


def test_an_alert_is_found_by_the_fingerprint_of_its_events(board: AlertBoard) -> None:
    firing = next(event for event in board.events() if event.is_firing)
    found = board.find(firing.fingerprint)

    assert found is not None
    assert (found.group, found.rule.name, found.severity) == (KEY, "Hot", "critical")
    assert board.find("0" * 16) is None


def test_events_of_all_that_fires_and_of_what_is_over_are_always_the_same(board: AlertBoard, house: House) -> None:
    before = board.events()
    board.put(house.evaluated(a=9))

    assert [(event.labels["job"], event.state) for event in before] == [("a", "firing"), ("b", "resolved")]
    assert [event.id for event in board.events()] == [event.id for event in before]


def test_a_group_that_is_no_more_is_not_shown(board: AlertBoard) -> None:
    board.put(Outcome(group=group(), state=None, transitions=(), gone=True))

    assert (board.groups, board.alerts()) == ((), [])


def test_a_rule_that_failed_says_so(house: House) -> None:
    house.evaluator = house.started(RULES.replace("load > 5", "load > on () group_left load"))
    outcome = house.evaluated(a=7, b=8)
    board = AlertBoard()
    board.put(outcome)

    (report,) = board.groups
    assert [rule.health for rule in report.rules] == ["ok", "err", "ok"]
    assert "many-to-many" in report.rules[1].error
    assert RuleReport(rule=report.rules[0].rule).health == "unknown"


def test_alerts_in_the_shape_of_prometheus(board: AlertBoard, house: House) -> None:
    first = alerts_data(board)["alerts"][0]

    assert first == {
        "labels": {"alertname": "Hot", "job": "a", "severity": "critical"},
        "annotations": {"summary": "load of a"},
        "state": "firing",
        "activeAt": "1970-01-01T00:16:50.000Z",
        "value": "7e+00",
    }


def test_rules_in_the_shape_of_prometheus(board: AlertBoard) -> None:
    (shape,) = rules_data(board, default_interval_ms=15_000)["groups"]
    recording, hot, slow = shape.pop("rules")

    assert shape == {
        "name": "fleet",
        "file": "rules.yml",
        "interval": 0.02,
        "limit": 0,
        "evaluationTime": 0.5,
        "lastEvaluation": "1970-01-01T00:17:00.000Z",
    }
    assert (recording["type"], recording["name"], recording["labels"]) == ("recording", "load:double", {"made": "here"})
    assert (hot["type"], hot["state"], hot["query"], hot["health"]) == ("alerting", "firing", "load > 5", "ok")
    assert (slow["state"], slow["duration"], len(slow["alerts"])) == ("pending", 60.0, 2)


def test_rules_are_chosen_as_by_the_parameters_of_prometheus(board: AlertBoard) -> None:
    def names(**options) -> list[str]:
        groups = rules_data(board, default_interval_ms=15_000, **options)["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    assert names(kind=RecordingRule) == ["load:double"]
    assert names(kind=AlertingRule, names=["Hot"]) == ["Hot"]
    assert names(files=["other.yml"]) == names(groups=["other"]) == names(names=["Nothing"]) == []
    (group,) = rules_data(board, default_interval_ms=15_000, with_alerts=False)["groups"]
    assert all("alerts" not in rule for rule in group["rules"])


def test_a_group_before_its_first_evaluation() -> None:
    board = AlertBoard()
    board.put(Outcome(group=group(), state=None, transitions=()))
    (shape,) = rules_data(board, default_interval_ms=15_000)["groups"]

    assert shape["lastEvaluation"] == NEVER
    assert {(rule["health"], rule.get("state", "inactive")) for rule in shape["rules"]} == {("unknown", "inactive")}


def test_values_are_written_as_go_writes_them() -> None:
    written = [exponential(value) for value in (0.0, 1.0, 0.1, 1234.5, -2e-7, 1e100, math.inf, -math.inf, math.nan)]

    assert written == ["0e+00", "1e+00", "1e-01", "1.2345e+03", "-2e-07", "1e+100", "+Inf", "-Inf", "NaN"]


def test_an_alert_beyond_what_travels_is_told_with_less(house: House) -> None:
    outcome = house.evaluated(a=7)
    (alert,) = alerts_of(outcome)
    huge = alert.model_copy(
        update={
            "labels": {
                **alert.labels,
                "n" * 200: "a name too long",
                "long": "x" * 5000,
                **{f"more{n:03}": "y" for n in range(100)},
            },
            "annotations": {"summary": "s", "description": "d" * 100_000},
            "value": math.nan,
        }
    )
    event = event_of(huge)

    assert event is not None
    assert (event.name, event.severity, len(event.labels)) == ("Hot", "critical", 64)
    assert len(event.labels["long"]) == 1024
    assert (event.value, event.annotations["summary"]) == (None, "s")
