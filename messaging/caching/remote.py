"""A cache on a server, whichever it is: envelopes, time-outs, counting, and what happens when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.errors import TransientError
from contracts.identifiers import new_id
from messaging.caching.absence import Absence, NotAnsweredError
from messaging.caching.base import MAX_VALUE_BYTES, Found, require_ttl
from messaging.caching.envelope import opened, seal
from messaging.caching.errors import CacheAwayError
from messaging.caching.keys import CacheKey, CacheKind, require_tenant
from messaging.caching.statistics import Counts, Level, LevelStats, Size

CLEAR_TIMEOUT_S = 30.0
SIZE_TIMEOUT_S = 10.0
LOOK_TTL_S = 60.0
_NOBODY = "probe"
"""A tenant that asks nothing."""


class Store(Protocol):
    """Bytes on a server. All methods raise `TransientError` when it does not answer or refuses."""

    @property
    def name(self) -> str: ...

    async def open(self) -> None:
        """Raises `PermanentError` when the server refuses the credentials."""
        ...

    async def read(self, key: CacheKey) -> bytes | None: ...

    async def write(self, key: CacheKey, data: bytes, ttl_s: float) -> None:
        """The server forgets it after that time, or a little later."""
        ...

    async def remove(self, key: CacheKey) -> None: ...

    async def clear(self, tenant: str | None) -> int:
        """Remove all entries of a tenant, or of everybody; how many there were."""
        ...

    async def size(self) -> Size: ...

    async def close(self) -> None: ...


class RemoteCache:
    """A `FarCache` on a store. `now` is the time that all who share it agree on, in seconds since 1970."""

    def __init__(
        self,
        store: Store,
        *,
        timeout_s: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clears = 0
        self._store = store
        self._now = now
        self._level = Level(store.name)
        self._absence = Absence(store.name, timeout_s=timeout_s, monotonic=monotonic)

    @property
    def levels(self) -> Sequence[Level]:
        return (self._level,)

    async def open(self) -> None:
        await self._store.open()

    async def get(self, key: CacheKey) -> bytes | None:
        found = await self.find(key)
        return found.value if found else None

    async def find(self, key: CacheKey) -> Found | None:
        counts = self._level.of(key.kind)
        try:
            return await self._absence.ask("get", lambda: self._find(key, counts))
        except NotAnsweredError:
            counts.errors += 1
            return None

    async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
        ttl_s = require_ttl(ttl_s)
        counts = self._level.of(key.kind)
        if len(value) > MAX_VALUE_BYTES:
            counts.oversized += 1
            await self.delete(key)
            return
        data = seal(key, value, expires_at=self._now() + ttl_s)
        try:
            await self._absence.ask("set", lambda: self._store.write(key, data, ttl_s))
        except NotAnsweredError:
            counts.errors += 1
        else:
            counts.sets += 1

    async def delete(self, key: CacheKey) -> None:
        try:
            await self._absence.ask("delete", lambda: self._store.remove(key))
        except NotAnsweredError:
            self._level.of(key.kind).errors += 1

    async def clear(self, tenant: str | None) -> int:
        if tenant is not None:
            require_tenant(tenant)
        self.clears += 1
        try:
            async with asyncio.timeout(CLEAR_TIMEOUT_S):
                return await self._store.clear(tenant)
        except TimeoutError as error:
            raise CacheAwayError(f"{self._store.name}: not cleared within {CLEAR_TIMEOUT_S:g} s") from error

    def forget(self, tenant: str | None) -> int:
        return 0

    async def stats(self) -> tuple[LevelStats, ...]:
        return (self._level.stats(await self._size()),)

    async def look(self) -> None:
        key, written = CacheKey.of(CacheKind.QUESTION_VECTOR, _NOBODY, probe=new_id()), b"probe"
        await self._store.write(key, written, LOOK_TTL_S)
        read = await self._store.read(key)
        await self._store.remove(key)
        if read != written:
            raise CacheAwayError(f"{self._store.name}: what was just written is not read back")

    async def close(self) -> None:
        await self._store.close()

    async def _find(self, key: CacheKey, counts: Counts) -> Found | None:
        data = await self._store.read(key)
        envelope = None if data is None else opened(key, data)
        rest_s = envelope.expires_at - self._now() if envelope else 0.0
        if envelope is None or rest_s <= 0:
            counts.misses += 1
            counts.expirations += envelope is not None
            return None
        counts.hits += 1
        return Found(value=envelope.value, rest_s=rest_s)

    async def _size(self) -> Size | None:
        try:
            async with asyncio.timeout(SIZE_TIMEOUT_S):
                return await self._store.size()
        except (TransientError, TimeoutError):  # not known now; whoever reads the figures sees that
            return None
