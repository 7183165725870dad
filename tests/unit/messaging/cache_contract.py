"""What every `Cache` must do. A backend's test class inherits it and provides `cache`."""

from __future__ import annotations

import asyncio

import pytest

from messaging.caching.base import MAX_VALUE_BYTES, Cache
from messaging.caching.keys import CacheKey, CacheKind
from messaging.caching.statistics import LevelStats
from tests.support.waiting import until

TTL_S = 60.0
SHORT_TTL_S = 1.0

NASTY_TENANTS = [
    *("a", "aa", "a-", "a_", "A", "-", "_", "--", "0", "-a"),
    *("a" * 127, "a" * 128, "a" * 127 + "b"),
    *("answer", "question-vector", "waggle", "cache", "KV", "null", "None", "default"),
    "0" * 64,  # as long as a digest
]
"""Tenants that are prefixes of one another, look like other parts of a key, or are as long as can be."""


def key(name: object = "k", *, tenant: str = "tenant", kind: CacheKind = CacheKind.ANSWER) -> CacheKey:
    return CacheKey.of(kind, tenant, name=name)


async def totals(cache: Cache) -> LevelStats:
    """The farthest level's figures: it sees every write, and every read that nothing nearer answers."""
    return (await cache.stats())[-1]


class CacheContract:
    """What was set is found by its own name until its time is over, whoever asks; `clear` forgets exactly what it names."""

    async def test_what_was_set_is_found(self, cache: Cache) -> None:
        assert await cache.get(key()) is None
        await cache.set(key(), b"value", TTL_S)
        assert await cache.get(key()) == b"value"

    async def test_a_second_write_replaces_the_first(self, cache: Cache) -> None:
        await cache.set(key(), b"a longer first value", TTL_S)
        await cache.set(key(), b"second", TTL_S)
        assert await cache.get(key()) == b"second"
        assert (await totals(cache)).entries == 1

    async def test_it_is_gone_when_its_time_is_over(self, cache: Cache) -> None:
        await cache.set(key("short"), b"value", SHORT_TTL_S)
        await cache.set(key("long"), b"value", TTL_S)

        async def is_gone() -> bool:
            return await cache.get(key("short")) is None

        await until(is_gone)
        assert await cache.get(key("long")) == b"value"

    async def test_a_second_write_brings_a_time_of_its_own(self, cache: Cache) -> None:
        await cache.set(key(), b"first", SHORT_TTL_S)
        await cache.set(key("beside"), b"value", SHORT_TTL_S)
        await cache.set(key(), b"second", TTL_S)

        async def the_other_is_gone() -> bool:
            return await cache.get(key("beside")) is None

        await until(the_other_is_gone)
        assert await cache.get(key()) == b"second"

    @pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
    async def test_no_time_at_all_is_refused(self, cache: Cache, ttl_s: float) -> None:
        with pytest.raises(ValueError, match="lives longer"):
            await cache.set(key(), b"value", ttl_s)

    async def test_a_time_beyond_a_day_is_cut_to_one(self, cache: Cache) -> None:
        await cache.set(key(), b"value", 1e9)
        assert await cache.get(key()) == b"value"

    async def test_what_was_deleted_is_gone_and_may_come_back(self, cache: Cache) -> None:
        await cache.set(key(), b"value", TTL_S)
        await cache.set(key("other"), b"other", TTL_S)
        await cache.delete(key())
        await cache.delete(key("never there"))
        assert await cache.get(key()) is None
        assert await cache.get(key("other")) == b"other"
        assert (await totals(cache)).entries == 1
        await cache.set(key(), b"again", TTL_S)
        assert await cache.get(key()) == b"again"

    @pytest.mark.parametrize("value", [b"", b"\x00", bytes(range(256)) * 4, b"\r\n+OK\r\n$-1\r\n", "蜂箱".encode()])
    async def test_values_are_bytes_whatever_they_hold(self, cache: Cache, value: bytes) -> None:
        await cache.set(key(), value, TTL_S)
        assert await cache.get(key()) == value

    async def test_the_largest_value_is_kept_whole(self, cache: Cache) -> None:
        value = bytes(range(256)) * (MAX_VALUE_BYTES // 256)
        assert len(value) == MAX_VALUE_BYTES
        await cache.set(key(), value, TTL_S)
        assert await cache.get(key()) == value

    async def test_a_larger_one_is_not_kept_and_neither_is_what_it_replaces(self, cache: Cache) -> None:
        await cache.set(key(), b"old", TTL_S)
        await cache.set(key(), b"x" * (MAX_VALUE_BYTES + 1), TTL_S)
        assert await cache.get(key()) is None
        stats = await totals(cache)
        assert (stats.oversized, stats.errors, stats.entries) == (1, 0, 0)

    async def test_kinds_do_not_meet(self, cache: Cache) -> None:
        for kind in CacheKind:
            await cache.set(key(kind=kind), kind.value.encode(), TTL_S)
        for kind in CacheKind:
            assert await cache.get(key(kind=kind)) == kind.value.encode()

    async def test_tenants_do_not_meet_whatever_they_are_called(self, cache: Cache) -> None:
        for tenant in NASTY_TENANTS:
            assert await cache.get(key(tenant=tenant)) is None
            await cache.set(key(tenant=tenant), tenant.encode(), TTL_S)
        for tenant in NASTY_TENANTS:
            assert await cache.get(key(tenant=tenant)) == tenant.encode()

    async def test_clearing_a_tenant_forgets_all_of_it_and_nothing_else(self, cache: Cache) -> None:
        for tenant in NASTY_TENANTS:
            for kind in CacheKind:
                for name in range(2):
                    await cache.set(key(name, tenant=tenant, kind=kind), tenant.encode(), TTL_S)
        left = set(NASTY_TENANTS)
        for cleared in NASTY_TENANTS:
            assert await cache.clear(cleared) == 2 * len(CacheKind)
            left.discard(cleared)
            for tenant in NASTY_TENANTS:
                found = await cache.get(key(1, tenant=tenant, kind=CacheKind.QUESTION_VECTOR))
                assert (found is not None) == (tenant in left), f"{tenant} after {cleared} was cleared"

    async def test_clearing_everybody_forgets_all(self, cache: Cache) -> None:
        for tenant in ("a", "b"):
            await cache.set(key(tenant=tenant), b"value", TTL_S)
        assert await cache.clear(None) == 2
        assert await cache.clear(None) == 0
        assert await cache.get(key(tenant="a")) is None
        assert (await totals(cache)).entries == 0

    @pytest.mark.parametrize("tenant", ["", "*", ">", "a*", "a.b", "a:b", "[ab]", "a\n", "a b", "é", "a" * 129])
    async def test_only_a_tenant_can_be_cleared(self, cache: Cache, tenant: str) -> None:
        await cache.set(key(tenant="a"), b"value", TTL_S)
        with pytest.raises(ValueError, match="no tenant"):
            await cache.clear(tenant)
        assert await cache.get(key(tenant="a")) == b"value"

    async def test_clears_are_numbered(self, cache: Cache) -> None:
        before = cache.clears
        await cache.set(key(), b"value", TTL_S)
        await cache.delete(key())
        assert cache.clears == before
        await cache.clear("tenant")
        assert cache.clears > before

    async def test_many_tasks_at_once_each_find_their_own(self, cache: Cache) -> None:
        async def work(number: int) -> None:
            for turn in range(10):
                value = f"{number}/{turn}".encode() * (1 + 100 * turn)
                await cache.set(key(number), value, TTL_S)
                assert await cache.get(key(number)) == value

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(work(number))
        assert (await totals(cache)).entries == 20

    async def test_what_happens_is_counted(self, cache: Cache) -> None:
        await cache.get(key("missing"))
        await cache.set(key("a"), b"x" * 1000, TTL_S)
        await cache.set(key("b", kind=CacheKind.QUESTION_VECTOR), b"y" * 1000, TTL_S)
        stats = await totals(cache)
        assert (stats.hits, stats.misses, stats.sets) == (0, 1, 2)
        assert (stats.errors, stats.evictions, stats.expirations, stats.oversized) == (0, 0, 0, 0)
        assert stats.entries == 2
        assert stats.bytes is not None
        assert 2000 <= stats.bytes <= 2000 + 2 * 2048

    async def test_hits_are_counted_where_they_are_found(self, cache: Cache) -> None:
        await cache.set(key(), b"value", TTL_S)
        for _ in range(3):
            await cache.get(key())
        assert sum(level.hits for level in await cache.stats()) == 3

    async def test_a_look_leaves_nothing_behind(self, cache: Cache) -> None:
        await cache.look()
        assert (await totals(cache)).entries == 0
