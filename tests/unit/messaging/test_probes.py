"""Probes: the real thing when nobody does it, and nothing when somebody just did."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from contracts.errors import PermanentError
from contracts.health import BackendCheck, CheckStatus
from messaging import probes
from messaging.breaker import Breaker, BreakerState
from messaging.checks import Checks
from messaging.probes import Probe, Probing
from tests.support.clocks import Clock
from tests.support.waiting import until


@dataclass
class Backend:
    """Does what it is asked, or fails, or hangs."""

    error: Exception | None = None
    hangs: bool = False
    probed: int = 0

    async def look(self) -> None:
        self.probed += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


async def nothing() -> None:
    return


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("index", nothing, monotonic=clock)


@pytest.fixture
def probing(backend: Backend, breaker: Breaker, clock: Clock) -> Probing:
    return Probing(Probe(breaker=breaker, look=backend.look, timeout_s=0.05), interval_s=30, monotonic=clock)


def found(probing: Probing) -> BackendCheck:
    assert probing.result is not None
    return probing.result


async def test_a_backend_that_nobody_uses_is_probed(probing: Probing, backend: Backend) -> None:
    assert probing.result is None
    await probing.turn()
    assert (found(probing).status, backend.probed) == (CheckStatus.OK, 1)
    assert found(probing).latency_ms is not None


async def test_a_call_that_has_just_succeeded_saves_the_probe(
    probing: Probing, backend: Backend, breaker: Breaker, clock: Clock
) -> None:
    async with breaker:
        pass
    clock.now += 29
    await probing.turn()
    assert (found(probing).status, backend.probed) == (CheckStatus.OK, 0)
    clock.now += 2
    await probing.turn()
    assert backend.probed == 1


async def test_a_call_that_failed_saves_nothing(probing: Probing, backend: Backend, breaker: Breaker) -> None:
    with pytest.raises(PermanentError):
        async with breaker:
            raise PermanentError("this text")
    await probing.turn()
    assert backend.probed == 1


async def test_a_probe_that_fails_is_told_and_leaves_the_breaker_closed(
    probing: Probing, backend: Backend, breaker: Breaker
) -> None:
    backend.error = ConnectionError("refused")
    await probing.turn()
    assert (found(probing).status, found(probing).detail) == (
        CheckStatus.FAILING,
        "a probe failed: ConnectionError: refused",
    )
    assert breaker.state is BreakerState.CLOSED


async def test_work_that_succeeds_outweighs_a_probe_that_failed(
    probing: Probing, backend: Backend, breaker: Breaker
) -> None:
    backend.error = ConnectionError("refused")
    await probing.turn()
    async with breaker:
        pass
    await probing.turn()
    assert found(probing).status is CheckStatus.OK


async def test_a_probe_that_hangs_fails_in_time(probing: Probing, backend: Backend) -> None:
    backend.hangs = True
    await probing.turn()
    assert (found(probing).status, found(probing).detail) == (
        CheckStatus.FAILING,
        "a probe was not done within 0.05 s",
    )


async def test_a_refusal_is_an_answer(probing: Probing, backend: Backend) -> None:
    backend.error = PermanentError("eight tokens are too few")
    await probing.turn()
    assert (found(probing).status, found(probing).detail) == (CheckStatus.OK, "eight tokens are too few")


async def test_while_the_breaker_is_open_it_looks_itself(probing: Probing, backend: Backend, breaker: Breaker) -> None:
    breaker.open(ConnectionError("away"))
    await probing.turn()
    assert (probing.result, backend.probed) == (None, 0)


async def test_a_probe_that_failed_is_repeated_sooner(
    backend: Backend, breaker: Breaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "AGAIN_S", 0.01)
    backend.error = ConnectionError("refused")
    probing = Probing(Probe(breaker=breaker, look=backend.look), interval_s=3600)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(probing.run())
        await until(lambda: backend.probed >= 3)
        backend.error = None
        await until(lambda: found(probing).status is CheckStatus.OK)
        running.cancel()


async def test_heartbeats_say_unknown_until_something_is_known(backend: Backend, breaker: Breaker) -> None:
    checks = Checks()
    checks.add_breaker(breaker)
    checks.add_probe(Probe(breaker=breaker, look=backend.look), interval_s=30)
    assert [check.status for check in checks.results] == [CheckStatus.UNKNOWN]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(checks.run())
        await until(lambda: checks.results[0].status is CheckStatus.OK)
        running.cancel()
    breaker.open(ConnectionError("away"))
    assert checks.results[0].status is CheckStatus.FAILING


async def test_a_look_that_costs_much_is_taken_rarely_while_it_is_good(backend: Backend) -> None:
    async def look() -> BackendCheck:
        await backend.look()
        return BackendCheck(name="ledger", status=CheckStatus.OK)

    checks = Checks()
    checks.add("ledger", look, every_s=3600)
    backend.error = ConnectionError("away")
    await checks.look()
    await checks.look()
    assert backend.probed == 2, "a bad one is taken again"
    backend.error = None
    await checks.look()
    await checks.look()
    assert (backend.probed, checks.results[0].status) == (3, CheckStatus.OK)
