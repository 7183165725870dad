"""All components together: since when, and because of whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts.component_health import ComponentHealth, ComponentKind, HealthStatus
from observability.health import BrokerNews, FleetHealth, Observed
from observability.intake import BrokerFacts
from observability.intake.processes import SeenProcess
from tests.unit.observability.health.beats import NOW, process

SERVICES = ("embed", "retrieve", "generate", "ingest", "gateway", "keeper", "observer", "operator")
UP = BrokerNews(facts=BrokerFacts(latency_s=0.001, api_errors=0, storage_bytes=0))


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> FleetHealth:
    return FleetHealth(clock)


def fleet(*, index: str = "ok") -> list[SeenProcess]:
    checks: dict[str, Any] = {
        "embed": {"index": index, "encoder": "ok"},
        "retrieve": {"index": index, "encoder": "ok"},
        "generate": {"generator": "ok"},
        "ingest": {"uploads": "ok", "parser": "ok"},
        "gateway": {"ledger": "ok"},
    }
    return [process(service, **checks.get(service, {})) for service in SERVICES]


def observed(processes: list[SeenProcess], **more: Any) -> Observed:
    told = Observed(processes=processes, expected=dict.fromkeys(SERVICES, 1), broker=UP, hears=True)
    return replace(told, **more)


def component(health: FleetHealth, name: str) -> ComponentHealth:
    return next(each for each in health.view.components if each.name == name)


def test_a_fleet_that_does_all_it_should_is_healthy(health: FleetHealth) -> None:
    view = health.judge(observed(fleet()))
    assert (view.status, view.detail) == (HealthStatus.HEALTHY, "")
    assert {each.status for each in view.components} == {HealthStatus.HEALTHY}


def test_before_anything_was_looked_at_nothing_is_known(health: FleetHealth) -> None:
    assert health.view.status is HealthStatus.UNKNOWN
    assert health.judge(observed([], expected={}, broker=None)).status is HealthStatus.UNKNOWN


def test_a_failing_backend_is_the_root_and_whoever_needs_it_is_impacted(health: FleetHealth) -> None:
    view = health.judge(observed(fleet(index="bad")))
    assert (view.status, health.failing) == (HealthStatus.UNHEALTHY, frozenset({"index"}))
    impacted = {each.name for each in view.components if each.impacted_by == ("index",)}
    assert impacted == {"embed", "retrieve", "ingest", "gateway", "keeper"}
    assert component(health, "index").impacted_by == ()
    assert component(health, "retrieve").status is HealthStatus.HEALTHY, "the process itself is well"


@pytest.mark.parametrize("service", ["observer", "operator"])
def test_without_who_watches_or_repairs_nothing_else_is_missed(health: FleetHealth, service: str) -> None:
    processes = [each for each in fleet() if each.beat.service != service]
    assert health.judge(observed(processes)).status is HealthStatus.DEGRADED
    assert not component(health, service).required


def test_a_service_of_which_none_is_wanted_is_not_required(health: FleetHealth) -> None:
    processes = [each for each in fleet() if each.beat.service != "keeper"]
    wanted = dict.fromkeys(SERVICES, 1) | {"keeper": 0}
    assert health.judge(observed(processes, expected=wanted)).status is HealthStatus.HEALTHY
    assert component(health, "keeper").status is HealthStatus.UNKNOWN


def test_since_moves_with_the_state_and_not_with_the_time(health: FleetHealth, clock: Clock) -> None:
    health.judge(observed(fleet()))
    clock.pass_by(60)
    health.judge(observed(fleet(index="bad")))
    clock.pass_by(60)
    view = health.judge(observed(fleet(index="bad")))
    failed_at = NOW + timedelta(seconds=60)
    index = component(health, "index")
    assert (view.since, index.since, index.instances[0].since) == (failed_at, failed_at, failed_at)
    assert component(health, "encoder").since == NOW


def test_an_observer_that_starts_again_knows_since_when(clock: Clock) -> None:
    before = NOW - timedelta(hours=3)
    known = {"": (HealthStatus.HEALTHY, before), "index": (HealthStatus.UNHEALTHY, before)}
    health = FleetHealth(clock, known=known)
    view = health.judge(observed(fleet()))
    assert (view.since, component(health, "index").since) == (before, NOW)


def test_a_connection_that_comes_back_changes_nothing(health: FleetHealth, clock: Clock) -> None:
    health.judge(observed(fleet()))
    clock.pass_by(10)
    assert health.judge(observed(fleet(), hears=False)).status is HealthStatus.HEALTHY
    clock.pass_by(10)
    assert health.judge(observed(fleet(), hears=False)).status is HealthStatus.UNKNOWN


def test_the_graph_is_shown_with_states(health: FleetHealth) -> None:
    health.judge(observed(fleet(index="bad")))
    shown = {each.component: each for each in health.dependencies().items}
    assert (shown["index"].status, shown["index"].kind) == (HealthStatus.UNHEALTHY, ComponentKind.BACKEND)
    assert {"embed", "retrieve"} == {*shown["index"].needed_by}
    assert "index" in shown["retrieve"].needs
    assert shown["retrieve"].kind is ComponentKind.SERVICE
