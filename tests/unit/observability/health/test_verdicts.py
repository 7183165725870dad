"""How each kind of component is judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.component_health import ComponentKind, HealthStatus
from contracts.health import ProcessState
from observability.health import BrokerNews, Verdict, backend_verdict, broker_verdict, overall, service_verdict
from observability.intake import BrokerFacts, StreamFacts
from observability.intake.processes import SeenProcess
from tests.unit.observability.health.beats import process

HEALTHY, DEGRADED = HealthStatus.HEALTHY, HealthStatus.DEGRADED
UNHEALTHY, UNKNOWN = HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN


def service(*processes: SeenProcess, expected: int = 0, hears: bool = True) -> tuple[HealthStatus, str]:
    found = service_verdict("embed", processes, expected=expected, required=True, hears=hears)
    return found.status, found.detail


READY, DEAD = process("embed"), process("embed", 2, alive=False)


@pytest.mark.parametrize(
    ("processes", "expected", "status", "detail"),
    [
        ([READY], 1, HEALTHY, ""),
        ([READY], 0, HEALTHY, ""),
        ([READY, DEAD], 1, DEGRADED, "1 of 2 are ready"),
        ([READY], 3, DEGRADED, "1 of 3 are ready"),
        ([READY, process("embed", 3, state="starting")], 1, DEGRADED, "1 of 2 are ready"),
        ([READY, process("embed", 3, state="paused")], 1, DEGRADED, "1 of 2 are ready"),
        ([READY, process("embed", 3, state="draining")], 1, HEALTHY, ""),
        ([DEAD], 1, UNHEALTHY, "none of 1 is ready"),
        ([process("embed", state="starting")], 0, UNHEALTHY, "none of 1 is ready"),
        ([process("embed", state="draining")], 1, UNHEALTHY, "none of 1 is ready"),
        ([], 2, UNHEALTHY, "none of 2 is ready"),
        ([], 0, UNKNOWN, "no process of it was heard of"),
    ],
)
def test_a_service(processes: list[SeenProcess], expected: int, status: HealthStatus, detail: str) -> None:
    assert service(*processes, expected=expected) == (status, detail)


def test_of_services_nothing_is_known_while_nobody_hears() -> None:
    assert service(READY, expected=1, hears=False)[0] is UNKNOWN


def test_a_service_tells_which_instances_are_the_reason() -> None:
    found = service_verdict("embed", [READY, DEAD], expected=2, required=True, hears=True)
    assert [(each.instance, each.status, each.detail) for each in found.instances] == [
        ("embed-1", HEALTHY, ""),
        ("embed-2", UNHEALTHY, "dead: it has missed three heartbeats"),
    ]


@pytest.mark.parametrize(
    ("processes", "status", "detail"),
    [
        ([process("embed", index="ok")], HEALTHY, ""),
        ([process("embed", index="ok"), process("embed", 2, index="?")], HEALTHY, ""),
        ([process("embed", index="?")], UNKNOWN, "no process says how it does"),
        ([process("embed")], UNKNOWN, "no process says how it does"),
        ([process("embed", index="ok", alive=False)], UNKNOWN, "no process says how it does"),
        ([process("embed", index="bad")], UNHEALTHY, "fails for every embed"),
        ([process("embed", index="bad", alive=False), process("embed", 2, index="ok")], HEALTHY, ""),
        ([process("embed", index="bad"), process("embed", 2, index="ok")], DEGRADED, "fails for 1 of 2 processes"),
        ([process("embed", index="slow"), process("embed", 2, index="ok")], DEGRADED, "degraded for 1 of 2 processes"),
        ([process("embed", index="bad"), process("retrieve", 2, index="ok")], UNHEALTHY, "fails for every embed"),
        (
            [process("embed", index="bad"), process("retrieve", 2, index="bad")],
            UNHEALTHY,
            "fails for every embed and every retrieve",
        ),
    ],
)
def test_a_backend(processes: list[SeenProcess], status: HealthStatus, detail: str) -> None:
    found = backend_verdict("index", processes, hears=True)
    assert (found.status, found.detail, found.required) == (status, detail, True)


def test_a_backend_tells_the_slowest_look_and_what_each_process_said() -> None:
    found = backend_verdict("cache", [process("embed", 3, cache="bad"), process("embed", 9, cache="ok")], hears=True)
    assert (found.latency_ms, found.required) == (9.0, False)
    assert [(each.instance, each.status, each.detail) for each in found.instances] == [
        ("embed-3", UNHEALTHY, "bad"),
        ("embed-9", HEALTHY, "ok"),
    ]


def test_of_backends_nothing_is_known_while_nobody_hears() -> None:
    assert backend_verdict("index", [process("embed", index="ok")], hears=False).status is UNKNOWN


def facts(**more: Any) -> BrokerFacts:
    streams = (StreamFacts(name="QUERY", messages=0, size_bytes=0, limit_bytes=None, oldest_s=0),)
    return replace(BrokerFacts(latency_s=0.002, api_errors=0, storage_bytes=10, streams=streams), **more)


@pytest.mark.parametrize(
    ("news", "status"),
    [
        (None, UNKNOWN),
        (BrokerNews(facts=None), UNHEALTHY),
        (BrokerNews(facts=facts(), streams=("QUERY",)), HEALTHY),
        (BrokerNews(facts=facts(), streams=("QUERY", "EMBED")), DEGRADED),
        (BrokerNews(facts=facts(latency_s=0.6)), DEGRADED),
        (BrokerNews(facts=facts(storage_bytes=96, storage_limit_bytes=100)), DEGRADED),
        (BrokerNews(facts=facts(storage_bytes=96)), HEALTHY),
    ],
)
def test_the_broker(news: BrokerNews | None, status: HealthStatus) -> None:
    assert broker_verdict(news).status is status


def verdict(name: str, status: HealthStatus, *, required: bool = True) -> Verdict:
    return Verdict(name=name, kind=ComponentKind.BACKEND, required=required, status=status)


@pytest.mark.parametrize(
    ("given", "status", "detail"),
    [
        ([verdict("a", HEALTHY)], HEALTHY, ""),
        ([verdict("a", HEALTHY), verdict("b", UNHEALTHY, required=False)], DEGRADED, "unhealthy: b"),
        ([verdict("a", HEALTHY), verdict("b", UNKNOWN, required=False)], HEALTHY, ""),
        ([verdict("a", DEGRADED), verdict("b", HEALTHY)], DEGRADED, "degraded: a"),
        ([verdict("a", UNKNOWN), verdict("b", DEGRADED)], UNKNOWN, "unknown: a"),
        ([verdict("a", UNKNOWN), verdict("c", UNHEALTHY), verdict("b", UNHEALTHY)], UNHEALTHY, "unhealthy: b, c"),
        ([], UNKNOWN, "nothing was looked at"),
    ],
)
def test_the_whole_fleet(given: list[Verdict], status: HealthStatus, detail: str) -> None:
    assert overall(given) == (status, detail)


@pytest.mark.parametrize("state", ProcessState)
def test_every_state_that_a_process_tells_is_judged(state: ProcessState) -> None:
    verdict = service_verdict("embed", [process("embed", state=state)], expected=1, required=True, hears=True)
    assert (verdict.status is HealthStatus.HEALTHY) == (state is ProcessState.READY)
