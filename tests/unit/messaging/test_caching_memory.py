"""The cache in memory: bounded, by use and by time."""

from __future__ import annotations

import pytest

from messaging.caching.base import Cache
from messaging.caching.keys import CacheKind
from messaging.caching.memory import ENTRY_BYTES, MemoryCache
from tests.support.clocks import Clock
from tests.unit.messaging.cache_contract import CacheContract, key

MiB = 1024 * 1024


@pytest.fixture
def clock() -> Clock:
    return Clock()


def small(clock: Clock, *, entries: int = 3, size: int = MiB) -> MemoryCache:
    return MemoryCache(max_bytes=size, max_entries=entries, monotonic=clock)


async def held(cache: Cache, *names: object) -> list[object]:
    return [name for name in names if await cache.get(key(name)) is not None]


class TestMemoryCache(CacheContract):
    @pytest.fixture
    async def cache(self) -> MemoryCache:
        return MemoryCache(max_bytes=64 * MiB, max_entries=1000)


async def test_an_entry_lives_to_the_moment(clock: Clock) -> None:
    cache = small(clock)
    await cache.set(key(), b"value", 10.0)
    clock.now += 9.999
    assert await cache.get(key()) == b"value"
    clock.now += 0.001
    assert await cache.get(key()) is None
    (stats,) = await cache.stats()
    assert (stats.expirations, stats.evictions, stats.entries, stats.bytes) == (1, 0, 0, 0)


async def test_reading_does_not_prolong_a_life(clock: Clock) -> None:
    cache = small(clock)
    await cache.set(key(), b"value", 10.0)
    for _ in range(20):
        clock.now += 0.5
        await cache.get(key())
    assert await cache.get(key()) is None


async def test_beyond_the_number_of_entries_the_least_recently_used_goes(clock: Clock) -> None:
    cache = small(clock, entries=3)
    for name in (1, 2, 3):
        await cache.set(key(name), b"value", 10.0)
    await cache.get(key(1))
    await cache.set(key(4), b"value", 10.0)
    assert await held(cache, 1, 2, 3, 4) == [1, 3, 4]
    assert (await cache.stats())[0].evictions == 1


async def test_replacing_an_entry_of_a_full_cache_drops_no_other(clock: Clock) -> None:
    cache = small(clock, entries=3)
    for name in (1, 2, 3):
        await cache.set(key(name), b"value", 10.0)
    await cache.set(key(1), b"new", 10.0)
    assert await held(cache, 1, 2, 3) == [1, 2, 3]


async def test_beyond_the_bytes_as_many_go_as_the_new_one_needs(clock: Clock) -> None:
    cache = small(clock, entries=100, size=10 * 2000)
    for name in range(10):
        await cache.set(key(name), b"x" * (2000 - ENTRY_BYTES), 10.0)
    await cache.set(key("large"), b"x" * (5000 - ENTRY_BYTES), 10.0)
    assert await held(cache, *range(10), "large") == [3, 4, 5, 6, 7, 8, 9, "large"]
    (stats,) = await cache.stats()
    assert (stats.entries, stats.bytes, stats.evictions) == (8, 7 * 2000 + 5000, 3)


async def test_what_has_expired_makes_room_before_what_lives(clock: Clock) -> None:
    cache = small(clock, entries=3)
    await cache.set(key("short"), b"value", 1.0)
    await cache.set(key("a"), b"value", 10.0)
    await cache.set(key("b"), b"value", 10.0)
    await cache.get(key("short"))  # the most recently used of the three
    clock.now += 2
    await cache.set(key("c"), b"value", 10.0)
    assert await held(cache, "a", "b", "c") == ["a", "b", "c"]
    (stats,) = await cache.stats()
    assert (stats.evictions, stats.expirations) == (0, 1)


async def test_a_value_that_alone_is_beyond_the_bytes_drops_no_other(clock: Clock) -> None:
    cache = small(clock, size=4000)
    await cache.set(key("a"), b"value", 10.0)
    await cache.set(key("large"), b"x" * 4000, 10.0)
    assert await held(cache, "a", "large") == ["a"]
    assert (await cache.stats())[0].oversized == 1


async def test_drops_are_counted_for_the_kind_that_was_dropped(clock: Clock) -> None:
    cache = small(clock, entries=1)
    await cache.set(key(kind=CacheKind.QUESTION_VECTOR), b"value", 10.0)
    await cache.set(key(kind=CacheKind.ANSWER), b"value", 10.0)
    (level,) = cache.levels
    assert {kind: counts.evictions for kind, counts in level.kinds()} == {
        CacheKind.QUESTION_VECTOR: 1,
        CacheKind.ANSWER: 0,
    }
