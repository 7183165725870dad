"""When a breaker opens, how it looks for its backend, and when it closes. Time is the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contracts.errors import PermanentError, TransientError
from messaging.breaker import Breaker, BreakerState, Probing
from messaging.errors import BackendAwayError, HandedBackError
from tests.support.waiting import until

PROBING = Probing(first_pause_s=1.0, max_pause_s=5.0, timeout_s=5.0)


class Backend:
    """Calls and looks fail while it is `away`; calls with a `bad` message always do."""

    def __init__(self) -> None:
        self.away = False
        self.looks = 0
        self.at_once = 0
        self.most_at_once = 0

    async def call(self, *, bad: bool = False) -> str:
        if self.away or bad:
            raise TransientError("no connection")
        return "done"

    async def look(self) -> None:
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.away:
            raise OSError("nobody there")


class Time:
    """A clock that only moves when the breaker pauses; notes the pauses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await self.may_go_on.wait()
        await asyncio.sleep(0)
        self.pauses.append(seconds)
        self.now += seconds


class House:
    def __init__(self, *, jitter: float = 1.0) -> None:
        self.backend = Backend()
        self.time = Time()
        self.states: list[BreakerState] = []
        self.breaker = Breaker(
            "index",
            self.backend.look,
            probing=PROBING,
            monotonic=self.time.monotonic,
            sleep=self.time.sleep,
            jitter=lambda: jitter,
        )
        self.breaker.on_change(lambda breaker: self.states.append(breaker.state))

    async def call(self, *, bad: bool = False) -> str:
        async with self.breaker:
            return await self.backend.call(bad=bad)

    async def go_away(self) -> None:
        self.backend.away = True
        with pytest.raises(BackendAwayError):
            await self.call()

    @asynccontextmanager
    async def probed(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.breaker.run())
        try:
            yield
        finally:
            running.cancel()


@pytest.fixture
def house() -> House:
    return House()


class TestChecking:
    async def test_a_backend_that_is_away_is_known_before_anybody_calls(self, house: House) -> None:
        house.backend.away = True
        await house.breaker.check()
        assert (house.breaker.state, house.breaker.reason) == (BreakerState.OPEN, "OSError: nobody there")
        async with house.probed():
            house.backend.away = False
            assert await house.breaker.closed()

    async def test_one_that_is_there_changes_nothing(self, house: House) -> None:
        await house.breaker.check()
        assert house.states == []
        assert house.backend.looks == 1

    async def test_one_that_has_answered_needs_no_look(self, house: House) -> None:
        house.breaker.close()
        assert house.states == []
        house.breaker.open(TransientError("not there yet"))
        house.breaker.close()
        assert house.states == [BreakerState.OPEN, BreakerState.CLOSED]
        assert await house.call() == "done"
        assert house.backend.looks == 0


class TestOpening:
    async def test_a_call_that_succeeds_is_let_through(self, house: House) -> None:
        assert await house.call() == "done"
        assert house.backend.looks == 0

    async def test_a_failure_while_the_backend_is_away_opens_it(self, house: House) -> None:
        house.backend.away = True
        with pytest.raises(BackendAwayError, match=r"index is away.*nobody there") as caught:
            await house.call()
        assert caught.value.breaker is house.breaker
        assert isinstance(caught.value.__cause__, TransientError)
        assert house.breaker.state is BreakerState.OPEN

    async def test_a_failure_while_the_backend_is_there_stays_the_messages_own(self, house: House) -> None:
        for _ in range(20):
            with pytest.raises(TransientError, match="no connection") as caught:
                await house.call(bad=True)
            assert not isinstance(caught.value, BackendAwayError)
        assert house.breaker.state is BreakerState.CLOSED
        assert await house.call() == "done"

    @pytest.mark.parametrize("error", [PermanentError("not for you"), asyncio.CancelledError()])
    async def test_refusals_and_cancellations_say_nothing_about_a_backend(
        self, house: House, error: BaseException
    ) -> None:
        house.backend.away = True
        with pytest.raises(type(error)):
            async with house.breaker:
                raise error
        assert house.backend.looks == 0

    async def test_calls_that_fail_together_are_judged_by_one_look(self, house: House) -> None:
        house.backend.away = True
        outcomes = await asyncio.gather(*(house.call() for _ in range(8)), return_exceptions=True)
        assert all(isinstance(outcome, BackendAwayError) for outcome in outcomes)
        assert house.backend.looks == 1

    async def test_while_it_is_open_no_call_reaches_the_backend(self, house: House) -> None:
        await house.go_away()
        house.backend.away = False
        with pytest.raises(BackendAwayError):
            await house.call()

    async def test_a_backend_that_does_not_answer_is_away(self) -> None:
        hung = asyncio.Event()
        breaker = Breaker("index", hung.wait, probing=Probing(timeout_s=0.01))
        with pytest.raises(BackendAwayError, match=r"no answer within 0\.01 s"):
            async with breaker:
                raise TransientError("timed out")

    async def test_the_trouble_of_another_backend_is_passed_on(self, house: House) -> None:
        other = House()
        await other.go_away()
        with pytest.raises(BackendAwayError) as caught:
            async with house.breaker:
                await other.call()
        assert caught.value.breaker is other.breaker
        assert house.breaker.state is BreakerState.CLOSED


class TestProbing:
    async def test_pauses_double_up_to_their_bound(self, house: House) -> None:
        await house.go_away()
        async with house.probed():
            await until(lambda: len(house.time.pauses) >= 6)
        assert house.time.pauses[:6] == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]

    async def test_chance_only_shortens_them(self) -> None:
        house = House(jitter=0.0)
        await house.go_away()
        async with house.probed():
            await until(lambda: len(house.time.pauses) >= 4)
        assert house.time.pauses[:4] == [0.5, 1.0, 2.0, 2.5]

    async def test_the_first_look_that_passes_closes_it(self, house: House) -> None:
        await house.go_away()
        house.backend.away = False
        async with house.probed():
            await house.breaker.closed()
        assert house.states == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
        assert await house.call() == "done"

    async def test_looks_are_taken_one_at_a_time(self, house: House) -> None:
        await house.go_away()
        async with house.probed():
            for _ in range(50):
                with pytest.raises(BackendAwayError):
                    await house.call()
            await until(lambda: house.backend.looks >= 5)
        assert house.backend.most_at_once == 1

    async def test_a_backend_that_comes_and_goes_is_not_asked_ever_faster(self, house: House) -> None:
        """A return that lasts less than the longest pause is the same outage; a longer one begins anew."""
        async with house.probed():
            for _ in range(3):
                await house.go_away()
                house.backend.away = False
                await house.breaker.closed()
            house.time.now += PROBING.max_pause_s + 1
            await house.go_away()
            house.backend.away = False
            await house.breaker.closed()
        assert house.time.pauses == [1.0, 2.0, 4.0, 1.0]


class TestWaiting:
    async def test_who_waits_goes_on_when_the_backend_is_back(self, house: House) -> None:
        await house.go_away()
        async with house.probed():
            waiting = [asyncio.create_task(house.breaker.closed()) for _ in range(3)]
            await until(lambda: house.backend.looks >= 3)
            assert not any(task.done() for task in waiting)
            house.backend.away = False
            async with asyncio.timeout(60):
                await asyncio.gather(*waiting)

    async def test_at_the_end_of_the_process_nobody_waits_any_more(self, house: House) -> None:
        await house.go_away()
        house.time.may_go_on.clear()
        async with house.probed():
            waiting = asyncio.create_task(house.breaker.closed())
            await asyncio.sleep(0)
            house.breaker.release()
            with pytest.raises(HandedBackError):
                await waiting
            with pytest.raises(HandedBackError):
                await house.breaker.closed()
            house.time.may_go_on.set()
            await until(lambda: house.backend.looks >= 3)
            with pytest.raises(HandedBackError):
                await house.breaker.closed()
