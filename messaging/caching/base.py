"""The edge to caches: bytes by key, for a while. A cache saves work; nothing may depend on what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.declarations import DAY
from messaging.caching.keys import CacheKey
from messaging.caching.statistics import Level, LevelStats

MAX_VALUE_BYTES = 960 * 1024
"""Largest value that is kept; with its headers it stays below the 1 MiB that the broker takes."""
MAX_TTL_S = DAY
"""Longest life of an entry; the bucket of the topology forgets after it."""


class Cache(Protocol):
    """Entries of all tenants; every key names its own.

    The methods on the way of a question (`get`, `set`, `delete`) never fail and take `WAGGLE_CACHE_TIMEOUT_S` at most: a
    level that is away holds nothing and keeps nothing, which is counted as an error.
    """

    @property
    def levels(self) -> Sequence[Level]:
        """What counts what happens, nearest first; for metrics."""
        ...

    @property
    def clears(self) -> int:
        """Grows with every `clear` that this process knows of: what was computed before one is not to be kept after it."""
        ...

    async def open(self) -> None:
        """Get ready. Raises `PermanentError` when a backend refuses the credentials; one that is away is no error."""
        ...

    async def get(self, key: CacheKey) -> bytes | None:
        """The value, or None."""
        ...

    async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
        """Keep a value for so long, at most a day. One above `MAX_VALUE_BYTES` is not kept, nor what it replaces."""
        ...

    async def delete(self, key: CacheKey) -> None:
        """Forget an entry. In the memory of other processes it may live on for `WAGGLE_CACHE_NEAR_TTL_S`."""
        ...

    async def clear(self, tenant: str | None) -> int:
        """Forget all entries of a tenant, or of everybody (None); how many there were.

        Raises `TransientError` when a level could not be cleared: clear again.
        """
        ...

    def forget(self, tenant: str | None) -> int:
        """Forget what this process keeps in its memory, and nothing else; how many entries there were."""
        ...

    async def stats(self) -> tuple[LevelStats, ...]:
        """What happened in this process since its start, level by level, nearest first."""
        ...

    async def look(self) -> None:
        """Write an entry where it is shared, read it back and remove it. Raises `TransientError` when that fails; the memory
        of this process is not looked at.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value and the seconds that are left of its life."""

    value: bytes
    rest_s: float


class FarCache(Cache, Protocol):
    """A cache that several processes share."""

    async def find(self, key: CacheKey) -> Found | None:
        """As `get`, with the rest of the entry's life."""
        ...


def require_ttl(ttl_s: float) -> float:
    """At most a day. Raises `ValueError` for no time at all."""
    if not ttl_s > 0:
        raise ValueError(f"an entry lives longer than {ttl_s} s")
    return min(ttl_s, MAX_TTL_S)
