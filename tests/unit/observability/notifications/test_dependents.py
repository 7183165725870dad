"""Alerts on components that only suffer are inhibited by the alert on the root."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contracts.alerts import AlertEvent
from observability.dependencies import DependencyGraph, fleet_graph
from observability.notifications.inhibition import Inhibition
from tests.unit.observability.health.beats import beat

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

GRAPH = fleet_graph(
    [beat("embed", index="bad"), beat("retrieve", index="bad", encoder="ok"), beat("ingest", uploads="ok")]
)


def alert(name: str, component: str, dependency: str, *, severity: str = "critical", over: bool = False) -> AlertEvent:
    labels = {"alertname": name, "component": component, "severity": severity, "dependency": dependency}
    return AlertEvent.of(labels, starts_at=NOW, ends_at=NOW if over else None)


INDEX_DOWN = alert("BackendDown", "index", "both")
BROKER_DOWN = alert("BrokerDown", "broker", "cause")


def inhibition(*alerts: AlertEvent, graph: DependencyGraph = GRAPH) -> Inhibition:
    made = Inhibition((), graph=lambda: graph)
    for each in alerts:
        made.observe(each)
    return made


@pytest.mark.parametrize("component", ["retrieve", "embed", "ingest", "gateway", "query", "purge", "index"])
def test_symptoms_of_the_root_and_of_whoever_needs_it_are_inhibited(component: str) -> None:
    """A queue stands for who puts work into it, a consumer for who reads it."""
    symptom = alert("Slow", component, "symptom")
    assert inhibition(INDEX_DOWN).inhibiting(symptom.labels) == INDEX_DOWN.fingerprint


@pytest.mark.parametrize("component", ["generate", "host", "uploads"])
def test_what_does_not_need_the_root_is_told(component: str) -> None:
    assert inhibition(INDEX_DOWN).inhibiting(alert("Slow", component, "symptom").labels) is None


def test_a_cause_that_follows_from_another_is_inhibited_and_the_root_is_told() -> None:
    ledger = alert("BackendDown", "ledger", "both")
    both = inhibition(ledger, BROKER_DOWN)
    assert both.inhibiting(ledger.labels) == BROKER_DOWN.fingerprint
    assert both.inhibiting(BROKER_DOWN.labels) is None


def test_a_victim_is_told_of_under_the_root_and_not_under_what_is_between() -> None:
    found = inhibition(alert("BackendDown", "ledger", "both"), BROKER_DOWN)
    assert found.inhibiting(alert("Slow", "gateway", "symptom").labels) == BROKER_DOWN.fingerprint


def test_a_cause_never_inhibits_itself_nor_another_on_the_same_root() -> None:
    other = alert("OtherDown", "index", "both")
    found = inhibition(INDEX_DOWN, other)
    assert (found.inhibiting(INDEX_DOWN.labels), found.inhibiting(other.labels)) == (None, None)


def test_a_dead_service_is_told_whatever_else_fails() -> None:
    down = alert("ServiceDown", "gateway", "cause")
    assert inhibition(INDEX_DOWN, down).inhibiting(down.labels) is None


def test_a_cause_inhibits_nothing_more_severe_than_itself() -> None:
    mild = alert("BackendDown", "index", "both", severity="warning")
    assert inhibition(mild).inhibiting(alert("Slow", "query", "symptom").labels) is None
    assert inhibition(mild).inhibiting(alert("Slow", "query", "symptom", severity="warning").labels) == mild.fingerprint


def test_once_the_root_is_over_its_victims_are_told() -> None:
    symptom = alert("Slow", "query", "symptom")
    found = inhibition(INDEX_DOWN, alert("BackendDown", "index", "both", over=True))
    assert found.inhibiting(symptom.labels) is None


def test_who_does_not_take_part_is_told() -> None:
    labels = {"alertname": "DiskFull", "component": "retrieve", "severity": "warning"}
    assert inhibition(INDEX_DOWN).inhibiting(labels) is None


def test_without_a_graph_nothing_of_it_is_inhibited() -> None:
    made = Inhibition(())
    made.observe(INDEX_DOWN)
    assert made.inhibiting(alert("Slow", "query", "symptom").labels) is None


def test_a_circle_hangs_nothing_and_keeps_nobody_untold() -> None:
    graph = DependencyGraph({"a": ["b"], "b": ["a"]})
    first, second = alert("Down", "a", "both"), alert("Down", "b", "both")
    found = inhibition(first, second, graph=graph)
    assert (found.inhibiting(first.labels), found.inhibiting(second.labels)) == (None, None)
