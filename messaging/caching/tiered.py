"""Two levels: the memory of this process before a cache that is shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from messaging.caching.base import FarCache, require_ttl
from messaging.caching.keys import CacheKey
from messaging.caching.memory import MemoryCache
from messaging.caching.statistics import Level, LevelStats


class TieredCache:
    """Looks near first; what is found far is kept near for the rest of its life, `near_ttl_s` at most.

    Writes go to both, far first. What is being read from far while its key is written, deleted or cleared here is returned
    to its reader but not kept: it may be older than that. Other processes see a write or a deletion when their own copy
    ages out, after `near_ttl_s` at the latest.
    """

    def __init__(self, near: MemoryCache, far: FarCache, *, near_ttl_s: float) -> None:
        self._near = near
        self._far = far
        self._near_ttl_s = near_ttl_s
        self._reading: dict[CacheKey, set[object]] = {}

    @property
    def levels(self) -> Sequence[Level]:
        return (*self._near.levels, *self._far.levels)

    @property
    def clears(self) -> int:
        return self._near.clears

    async def open(self) -> None:
        await self._far.open()

    async def get(self, key: CacheKey) -> bytes | None:
        value = await self._near.get(key)
        if value is not None:
            return value
        with self._read(key) as read:
            found = await self._far.find(key)
            if found is None:
                return None
            if read in self._reading.get(key, ()):
                await self._keep(key, found.value, found.rest_s)
        return found.value

    async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
        ttl_s = require_ttl(ttl_s)
        try:
            await self._far.set(key, value, ttl_s)
        finally:
            self._reading.pop(key, None)
            await self._keep(key, value, ttl_s)

    async def delete(self, key: CacheKey) -> None:
        try:
            await self._far.delete(key)
        finally:
            self._reading.pop(key, None)
            await self._near.delete(key)

    async def clear(self, tenant: str | None) -> int:
        try:
            return await self._far.clear(tenant)
        finally:
            self.forget(tenant)

    def forget(self, tenant: str | None) -> int:
        self._reading.clear()
        return self._near.forget(tenant)

    async def stats(self) -> tuple[LevelStats, ...]:
        return (*await self._near.stats(), *await self._far.stats())

    async def look(self) -> None:
        await self._far.look()

    async def close(self) -> None:
        await self._near.close()
        await self._far.close()

    async def _keep(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
        await self._near.set(key, value, min(ttl_s, self._near_ttl_s))

    @contextmanager
    def _read(self, key: CacheKey) -> Iterator[object]:
        """A read of a key from far: it is in `_reading` until the key changes."""
        read = object()
        self._reading.setdefault(key, set()).add(read)
        try:
            yield read
        finally:
            reads = self._reading.get(key)
            if reads is not None:
                reads.discard(read)
                if not reads:
                    del self._reading[key]
