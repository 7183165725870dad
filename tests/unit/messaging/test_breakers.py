"""What the breakers of a process tell about themselves."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts.health import BackendCheck, CheckStatus
from messaging.breaker import Breaker, Probing
from messaging.breakers import Breakers
from messaging.checks import Checks
from tests.support.waiting import until

QUICK = Probing(first_pause_s=0.001, max_pause_s=0.002)


class Index:
    def __init__(self) -> None:
        self.away = True

    async def look(self) -> None:
        if self.away:
            raise OSError("nobody there")


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def breaker(index: Index) -> Breaker:
    return Breaker("index", index.look, probing=QUICK)


class Meter:
    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.meter = MeterProvider([self._reader], shutdown_on_exit=False).get_meter("test")

    def told(self) -> dict[str, dict[tuple[str, ...], int]]:
        """Values by metric and attributes."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: {tuple(map(str, (p.attributes or {}).values())): int(p.value) for p in metric.data.data_points}  # type: ignore[union-attr]
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


async def test_states_and_changes_are_metrics(index: Index, breaker: Breaker) -> None:
    breakers, meter = Breakers(), Meter()
    breakers.add(breaker)
    breakers.measure(meter.meter)
    assert meter.told()["waggle.breaker.state"] == {("index",): 0}
    breaker.open(OSError("gone"))
    assert meter.told()["waggle.breaker.state"] == {("index",): 2}
    running = asyncio.create_task(breakers.run())
    index.away = False
    await breaker.closed()
    told = meter.told()
    assert told["waggle.breaker.state"] == {("index",): 0}
    assert told["waggle.breaker.transitions"] == {
        ("index", "open"): 1,
        ("index", "half_open"): 1,
        ("index", "closed"): 1,
    }
    running.cancel()


async def test_heartbeats_tell_what_a_breaker_says_at_this_moment(index: Index, breaker: Breaker) -> None:
    checks = Checks()
    checks.add_breaker(breaker)
    assert checks.results == (BackendCheck(name="index", status=CheckStatus.OK, detail="breaker closed"),)
    breaker.open(OSError("gone"))
    (told,) = checks.results
    assert (told.status, told.detail) == (CheckStatus.FAILING, "breaker open: OSError: gone")


async def test_a_check_of_the_same_name_is_told_with_it(breaker: Breaker) -> None:
    async def slow() -> BackendCheck:
        return BackendCheck(name="index", status=CheckStatus.DEGRADED, latency_ms=900.0, detail="slow")

    checks = Checks()
    checks.add("index", slow)
    checks.add_breaker(breaker)
    await checks.look()
    (told,) = checks.results
    assert (told.status, told.latency_ms, told.detail) == (CheckStatus.DEGRADED, 900.0, "breaker closed: slow")


async def test_one_backend_that_is_away_does_not_keep_others_from_being_looked_at(
    index: Index, breaker: Breaker
) -> None:
    breakers, hung, other = Breakers(), asyncio.Event(), Index()
    other.away = False
    hanging = Breaker("encoder", hung.wait, probing=Probing(first_pause_s=0.001, timeout_s=60.0))
    second = Breaker("other", other.look, probing=QUICK)
    for each in (hanging, breaker, second):
        breakers.add(each)
        each.open(OSError("gone"))
    running = asyncio.create_task(breakers.run())
    async with asyncio.timeout(60):
        await second.closed()
    await until(lambda: "nobody there" in breaker.reason)
    running.cancel()
