"""A cache in the memory of one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cachetools

from messaging.caching.base import MAX_VALUE_BYTES, require_ttl
from messaging.caching.keys import CacheKey, require_tenant
from messaging.caching.statistics import Level, LevelStats, Size

ENTRY_BYTES = 1024
"""What an entry costs beside its value: key, list and heap nodes (measured: 0.65 to 0.8 KiB on CPython 3.11)."""


class MemoryCache:
    """Least recently used entries go first, beyond `max_bytes` (with `ENTRY_BYTES` for each) or `max_entries`.

    No method waits for anything, so tasks cannot come in between. It belongs to one event loop. Time is `monotonic`,
    which no one sets.
    """

    def __init__(self, *, max_bytes: int, max_entries: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = Size(entries=0, bytes=0)
        self._level = Level("memory", lambda: self._size)
        self._entries = _Entries(max_bytes=max_bytes, max_entries=max_entries, monotonic=monotonic, level=self._level)
        self.clears = 0
        self._largest = min(MAX_VALUE_BYTES, max_bytes - ENTRY_BYTES)

    @property
    def levels(self) -> Sequence[Level]:
        return (self._level,)

    async def open(self) -> None:
        """Nothing to do."""

    async def get(self, key: CacheKey) -> bytes | None:
        held: _Held | None = self._entries.get(key)
        counts = self._level.of(key.kind)
        if held is None:
            counts.misses += 1
            return None
        counts.hits += 1
        return held.value

    async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
        ttl_s = require_ttl(ttl_s)
        counts = self._level.of(key.kind)
        if len(value) > self._largest:
            counts.oversized += 1
            await self.delete(key)
            return
        self._entries[key] = _Held(value=value, ttl_s=ttl_s)
        counts.sets += 1
        self._weigh()

    async def delete(self, key: CacheKey) -> None:
        self._entries.pop(key, None)
        self._weigh()

    async def clear(self, tenant: str | None) -> int:
        return self.forget(tenant)

    def forget(self, tenant: str | None) -> int:
        if tenant is not None:
            require_tenant(tenant)
        self.clears += 1
        keys = [key for key in self._entries if tenant in (None, key.tenant)]
        for key in keys:
            self._entries.pop(key, None)
        self._weigh()
        return len(keys)

    async def stats(self) -> tuple[LevelStats, ...]:
        self._weigh()
        return (self._level.stats(self._size),)

    async def look(self) -> None:
        """There is nothing that could be away."""

    async def close(self) -> None:
        """Forget everything."""
        self.forget(None)

    def _weigh(self) -> None:
        """Metrics are read by another thread, and the library drops what has expired whenever it is asked for its size."""
        self._size = Size(entries=len(self._entries), bytes=int(self._entries.currsize))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    value: bytes
    ttl_s: float


class _Entries(cachetools.TLRUCache[CacheKey, _Held]):
    """The library's cache with a bound on the number of entries, which counts what it drops."""

    def __init__(self, *, max_bytes: int, max_entries: int, monotonic: Callable[[], float], level: Level) -> None:
        super().__init__(
            max_bytes,
            ttu=lambda _, held, now: now + held.ttl_s,
            timer=monotonic,
            getsizeof=lambda held: len(held.value) + ENTRY_BYTES,
        )
        self._max_entries = max_entries
        self._level = level

    def __setitem__(self, key: CacheKey, held: _Held) -> None:
        self.expire()
        if key not in self:
            while len(self) >= self._max_entries:
                self.popitem()
        super().__setitem__(key, held)

    def popitem(self) -> tuple[CacheKey, _Held]:
        evicted = super().popitem()
        self._level.of(evicted[0].kind).evictions += 1
        return evicted

    def expire(self, time: float | None = None) -> list[tuple[CacheKey, _Held]]:
        expired = list(super().expire(time))
        for key, _ in expired:
            self._level.of(key.kind).expirations += 1
        return expired
