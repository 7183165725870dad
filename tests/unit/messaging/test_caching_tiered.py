"""Two levels, with a far one whose answers come when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from messaging.caching.absence import Absence, NotAnsweredError
from messaging.caching.errors import CacheAwayError
from messaging.caching.keys import CacheKey
from messaging.caching.memory import MemoryCache
from messaging.caching.remote import RemoteCache
from messaging.caching.statistics import Size
from messaging.caching.tiered import TieredCache
from tests.support.waiting import until
from tests.unit.messaging.cache_contract import TTL_S, key


class SlowStore:
    """Answers a read with what it held when it was asked, once `release` is set."""

    name = "slow"

    def __init__(self) -> None:
        self.data: dict[CacheKey, bytes] = {}
        self.release = asyncio.Event()
        self.release.set()
        self.reads = 0
        self.away = False

    async def open(self) -> None: ...

    async def read(self, key: CacheKey) -> bytes | None:
        self._require()
        self.reads += 1
        data = self.data.get(key)
        await self.release.wait()
        return data

    async def write(self, key: CacheKey, data: bytes, ttl_s: float) -> None:
        self._require()
        self.data[key] = data

    async def remove(self, key: CacheKey) -> None:
        self._require()
        self.data.pop(key, None)

    async def clear(self, tenant: str | None) -> int:
        self._require()
        removed = [key for key in self.data if tenant in (None, key.tenant)]
        for each in removed:
            del self.data[each]
        return len(removed)

    async def size(self) -> Size:
        return Size(entries=len(self.data), bytes=0)

    async def close(self) -> None: ...

    def _require(self) -> None:
        if self.away:
            raise CacheAwayError("away")


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def near() -> MemoryCache:
    return MemoryCache(max_bytes=2**20, max_entries=100)


@pytest.fixture
def tiered(near: MemoryCache, store: SlowStore) -> TieredCache:
    return TieredCache(near, RemoteCache(store, timeout_s=30.0), near_ttl_s=TTL_S)


async def written_elsewhere(store: SlowStore, value: bytes) -> None:
    """Another process has set the key; this one has it far only."""
    await RemoteCache(store, timeout_s=30.0).set(key(), value, TTL_S)


async def test_what_is_near_is_not_asked_of_far(tiered: TieredCache, store: SlowStore) -> None:
    await written_elsewhere(store, b"value")
    assert [await tiered.get(key()) for _ in range(3)] == [b"value"] * 3
    assert store.reads == 1


CHANGES: dict[str, tuple[Callable[[TieredCache], Awaitable[object]], bytes | None]] = {
    "set": (lambda cache: cache.set(key(), b"new", TTL_S), b"new"),
    "delete": (lambda cache: cache.delete(key()), None),
    "clear": (lambda cache: cache.clear("tenant"), None),
    "clear everybody": (lambda cache: cache.clear(None), None),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_read_that_was_under_way_does_not_bring_back_the_old_value(
    tiered: TieredCache, store: SlowStore, change: str
) -> None:
    make, left = CHANGES[change]
    await written_elsewhere(store, b"old")
    store.release.clear()
    reading = asyncio.create_task(tiered.get(key()))
    await until(lambda: store.reads == 1)
    await make(tiered)
    store.release.set()
    assert await reading == b"old"  # it was asked before the change
    assert await tiered.get(key()) == left


async def test_word_of_anothers_clear_holds_for_reads_that_are_under_way(
    tiered: TieredCache, store: SlowStore, near: MemoryCache
) -> None:
    await written_elsewhere(store, b"old")
    store.release.clear()
    reading = asyncio.create_task(tiered.get(key()))
    await until(lambda: store.reads == 1)
    tiered.forget("tenant")
    store.release.set()
    await reading
    assert await near.get(key()) is None


async def test_a_change_of_one_key_does_not_keep_others_from_being_kept(
    tiered: TieredCache, store: SlowStore, near: MemoryCache
) -> None:
    await written_elsewhere(store, b"value")
    store.release.clear()
    reading = [asyncio.create_task(tiered.get(key())) for _ in range(3)]
    await until(lambda: store.reads == 3)
    await tiered.set(key("other"), b"other", TTL_S)
    store.release.set()
    assert await asyncio.gather(*reading) == [b"value"] * 3
    assert await near.get(key()) == b"value"


async def test_nothing_is_left_of_reads_that_are_over(tiered: TieredCache, store: SlowStore) -> None:
    store.release.clear()
    reading = [asyncio.create_task(tiered.get(key(n))) for n in range(4)]
    await until(lambda: store.reads == 4)
    reading[0].cancel()
    store.release.set()
    await asyncio.gather(*reading, return_exceptions=True)
    assert tiered._reading == {}


async def test_while_far_is_away_near_goes_on(tiered: TieredCache, store: SlowStore) -> None:
    store.away = True
    await tiered.set(key(), b"value", TTL_S)
    assert await tiered.get(key()) == b"value"


async def test_a_clear_that_fails_far_has_cleared_near(
    tiered: TieredCache, store: SlowStore, near: MemoryCache
) -> None:
    await tiered.set(key(), b"value", TTL_S)
    store.away = True
    with pytest.raises(CacheAwayError):
        await tiered.clear("tenant")
    assert await near.get(key()) is None


class Server:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def answer(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return "answer"


class TestAbsence:
    async def test_one_in_a_while_looks_whether_it_is_back(self) -> None:
        now, server = 100.0, Server()
        absence = Absence("far", timeout_s=1.0, rest_s=10.0, monotonic=lambda: now)

        async def ask() -> str | None:
            try:
                return await absence.ask("get", server.answer)
            except NotAnsweredError:
                return None

        server.error = CacheAwayError("gone")
        assert [await ask() for _ in range(5)] == [None] * 5
        assert server.asked == 1
        now += 10.0
        assert await asyncio.gather(*(ask() for _ in range(5))) == [None] * 5
        assert server.asked == 2
        server.error = None
        now += 10.0
        assert [await ask() for _ in range(3)] == ["answer"] * 3
        assert server.asked == 5

    async def test_a_process_that_was_too_busy_to_look_does_not_blame_the_server(self) -> None:
        now, server = 100.0, Server()
        absence = Absence("far", timeout_s=0.01, rest_s=10.0, monotonic=lambda: now)

        async def answer_that_nobody_reads() -> None:
            nonlocal now
            now += 5.0  # the loop stood still
            await asyncio.Event().wait()

        with pytest.raises(NotAnsweredError):
            await absence.ask("get", answer_that_nobody_reads)
        assert await absence.ask("get", server.answer) == "answer"

    async def test_an_error_of_the_programme_is_not_taken_for_an_absence(self) -> None:
        server = Server()
        server.error = KeyError("a mistake")
        with pytest.raises(KeyError):
            await Absence("far", timeout_s=1.0).ask("get", server.answer)

    async def test_a_cancelled_question_says_nothing_about_the_server(self) -> None:
        server, never = Server(), asyncio.Event()
        absence = Absence("far", timeout_s=30.0)
        asking = asyncio.create_task(absence.ask("get", never.wait))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await absence.ask("get", server.answer) == "answer"
