"""No cache (`WAGGLE_CACHE=off`)."""

from __future__ import annotations

from messaging.caching.keys import CacheKey
from messaging.caching.statistics import Level, LevelStats


class NoCache:
    """Keeps nothing."""

    levels: tuple[Level, ...] = ()
    clears = 0

    async def open(self) -> None: ...

    async def get(self, key: CacheKey) -> bytes | None:
        return None

    async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None: ...

    async def delete(self, key: CacheKey) -> None: ...

    async def clear(self, tenant: str | None) -> int:
        return 0

    def forget(self, tenant: str | None) -> int:
        return 0

    async def stats(self) -> tuple[LevelStats, ...]:
        return ()

    async def look(self) -> None:
        """There is nothing that could be away."""

    async def close(self) -> None: ...
