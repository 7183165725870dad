"""Equal computations at the same time are done once, and nobody suffers for another's end."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from messaging.caching.decorator import Codec, cached
from messaging.caching.keys import CacheKey, CacheKind
from messaging.caching.memory import MemoryCache
from messaging.caching.single_flight import SingleFlight
from tests.support.waiting import until
from tests.unit.messaging.cache_contract import TTL_S, key


class Work:
    """A computation that is counted, and ends when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> bytes:
        self.begun += 1
        number = self.begun
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return f"value {number}".encode()


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache(max_bytes=2**20, max_entries=100)


@pytest.fixture
def flight(cache: MemoryCache) -> SingleFlight:
    return SingleFlight(cache)


@pytest.fixture
def work() -> Work:
    return Work()


def has_begun(work: Work, times: int) -> bool:
    return work.begun == times


async def callers(flight: SingleFlight, work: Work, count: int, name: object = "k") -> list[asyncio.Task[bytes]]:
    """So many tasks that all wait for one computation."""
    tasks = [asyncio.create_task(flight.get_or_set(key(name), work, TTL_S)) for _ in range(count)]
    await until(lambda: work.begun == 1)
    return tasks


async def test_many_equal_callers_compute_once(flight: SingleFlight, work: Work, cache: MemoryCache) -> None:
    tasks = await callers(flight, work, 100)
    work.release.set()
    assert await asyncio.gather(*tasks) == [b"value 1"] * 100
    assert work.begun == 1
    assert await cache.get(key()) == b"value 1"


async def test_what_is_cached_is_not_computed(flight: SingleFlight, work: Work, cache: MemoryCache) -> None:
    await cache.set(key(), b"", TTL_S)
    assert await flight.get_or_set(key(), work, TTL_S) == b""
    assert work.begun == 0


async def test_different_keys_do_not_wait_for_each_other(flight: SingleFlight, work: Work) -> None:
    waiting = await callers(flight, work, 1)
    other = Work()
    other.release.set()
    assert await flight.get_or_set(key("other"), other, TTL_S) == b"value 1"
    work.release.set()
    await asyncio.gather(*waiting)


async def test_an_error_reaches_all_and_is_not_cached(flight: SingleFlight, work: Work) -> None:
    work.error = RuntimeError("no luck")
    tasks = await callers(flight, work, 10)
    work.release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result) for result in results] == ["no luck"] * 10
    assert work.begun == 1
    work.error = None
    assert await flight.get_or_set(key(), work, TTL_S) == b"value 2"


async def test_when_the_first_is_cancelled_another_computes(flight: SingleFlight, work: Work) -> None:
    first, *others = await callers(flight, work, 5)
    first.cancel()
    await until(lambda: work.begun == 2)
    work.release.set()
    assert await asyncio.gather(*others) == [b"value 2"] * 4
    with pytest.raises(asyncio.CancelledError):
        await first
    assert work.begun == 2


async def test_the_firsts_deadline_is_its_own(flight: SingleFlight, work: Work) -> None:
    async def impatient() -> bytes:
        async with asyncio.timeout(0.05):
            return await flight.get_or_set(key(), work, TTL_S)

    first = asyncio.create_task(impatient())
    await until(lambda: work.begun == 1)
    second = asyncio.create_task(flight.get_or_set(key(), work, TTL_S))
    with pytest.raises(TimeoutError):
        await first
    work.release.set()
    assert await second == b"value 2"


async def test_when_one_after_another_is_cancelled_the_last_computes(flight: SingleFlight, work: Work) -> None:
    tasks = await callers(flight, work, 4)
    for task in tasks[:-1]:
        begun = work.begun
        task.cancel()
        await until(partial(has_begun, work, begun + 1))
    work.release.set()
    assert await tasks[-1] == b"value 4"


async def test_a_cancelled_follower_disturbs_nobody(flight: SingleFlight, work: Work) -> None:
    first, second, third = await callers(flight, work, 3)
    second.cancel()
    await asyncio.wait([second])
    work.release.set()
    assert [await first, await third] == [b"value 1"] * 2
    assert work.begun == 1


async def test_nothing_is_left_when_all_are_done(flight: SingleFlight, work: Work) -> None:
    tasks = await callers(flight, work, 3)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert flight._flights == {}


async def test_beyond_the_bound_callers_compute_for_themselves(cache: MemoryCache, work: Work) -> None:
    flight = SingleFlight(cache, max_flights=1)
    leading = await callers(flight, work, 1)
    other = Work()
    other.release.set()
    values = await asyncio.gather(*(flight.get_or_set(key("other"), other, TTL_S) for _ in range(2)))
    assert b"value 1" in values
    assert await cache.get(key("other")) is not None
    work.release.set()
    await asyncio.gather(*leading)


async def test_who_waits_is_not_held_up_by_the_writing(work: Work) -> None:
    class SlowToWrite(MemoryCache):
        writing = asyncio.Event()

        async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
            await self.writing.wait()
            await super().set(key, value, ttl_s)

    slow = SlowToWrite(max_bytes=2**20, max_entries=10)
    first, second = await callers(SingleFlight(slow), work, 2)
    work.release.set()
    assert await second == b"value 1"
    assert not first.done()
    slow.writing.set()
    assert await first == b"value 1"


async def test_what_began_before_a_clear_is_not_kept_after_it(
    flight: SingleFlight, work: Work, cache: MemoryCache
) -> None:
    tasks = await callers(flight, work, 2)
    await cache.clear("tenant")
    work.release.set()
    assert await asyncio.gather(*tasks) == [b"value 1"] * 2
    assert await cache.get(key()) is None
    assert await flight.get_or_set(key(), work, TTL_S) == b"value 2"
    assert await cache.get(key()) == b"value 2"


async def test_a_computation_may_ask_for_another(flight: SingleFlight, work: Work) -> None:
    work.release.set()

    async def outer() -> bytes:
        return b"outer of " + await flight.get_or_set(key("inner"), work, TTL_S)

    assert await flight.get_or_set(key("outer"), outer, TTL_S) == b"outer of value 1"


NUMBERS = Codec[int](encode=lambda number: str(number).encode(), decode=int)


def number_key(text: str) -> CacheKey:
    return CacheKey.of(CacheKind.QUESTION_VECTOR, "tenant", text=text)


class TestDecorator:
    async def test_a_function_is_called_once_for_equal_arguments(self, flight: SingleFlight) -> None:
        called: list[str] = []

        @cached(flight, key=number_key, codec=NUMBERS, ttl_s=TTL_S)
        async def length(text: str) -> int:
            """Of a text."""
            called.append(text)
            return len(text)

        assert [await length("bees"), await length("bees"), await length(text="bees"), await length("hive!")] == [
            4,
            4,
            4,
            5,
        ]
        assert called == ["bees", "hive!"]
        assert (length.__name__, length.__doc__) == ("length", "Of a text.")

    async def test_what_cannot_be_read_is_computed_again(self, flight: SingleFlight, cache: MemoryCache) -> None:
        @cached(flight, key=number_key, codec=NUMBERS, ttl_s=TTL_S)
        async def length(text: str) -> int:
            return len(text)

        await cache.set(number_key("bees"), b"no number", TTL_S)
        assert await length("bees") == 4
        assert await cache.get(number_key("bees")) == b"4"

    async def test_its_error_comes_out_as_it_is(self, flight: SingleFlight) -> None:
        @cached(flight, key=number_key, codec=NUMBERS, ttl_s=TTL_S)
        async def length(text: str) -> int:
            raise LookupError(text)

        with pytest.raises(LookupError, match="bees"):
            await length("bees")
