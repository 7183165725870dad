"""Equal computations at the same time are done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from messaging.caching.base import Cache, require_ttl
from messaging.caching.keys import CacheKey

MAX_FLIGHTS = 1024
"""Most keys that are computed at once for others to wait on; beyond, callers compute for themselves."""

Compute = Callable[[], Awaitable[bytes]]


class SingleFlight:
    """Looks into a cache, and computes what is not there once for all who ask for it meanwhile in this process.

        value = await flight.get_or_set(key, compute, ttl_s)

    The first to ask computes, in its own task, so that its deadline and its cancellation hold. The others wait. An error is
    theirs too, and is not cached. If the first is cancelled, another of them computes. What began before a `clear` is not
    cached after it: it may rest on what the cache was cleared for.
    """

    def __init__(self, cache: Cache, *, max_flights: int = MAX_FLIGHTS) -> None:
        self.cache = cache
        self._max_flights = max_flights
        self._flights: dict[CacheKey, asyncio.Future[bytes | None]] = {}

    async def get_or_set(self, key: CacheKey, compute: Compute, ttl_s: float) -> bytes:
        """The value from the cache, from somebody who computes it at this moment, or from `compute`.

        Raises what `compute` raises.
        """
        require_ttl(ttl_s)
        while (flight := self._flights.get(key)) is not None:
            value = await asyncio.shield(flight)
            if value is not None:
                return value
        if len(self._flights) >= self._max_flights:
            return await self._found_or_computed(key, compute, ttl_s, flight=None)
        return await self._lead(key, compute, ttl_s)

    async def _lead(self, key: CacheKey, compute: Compute, ttl_s: float) -> bytes:
        flight: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            return await self._found_or_computed(key, compute, ttl_s, flight=flight)
        except Exception as error:
            if not flight.done():
                flight.set_exception(error)
                flight.exception()  # nobody may be waiting for it
            raise
        finally:
            if not flight.done():  # cancelled: another one computes
                flight.set_result(None)
            del self._flights[key]

    async def _found_or_computed(
        self, key: CacheKey, compute: Compute, ttl_s: float, *, flight: asyncio.Future[bytes | None] | None
    ) -> bytes:
        """Those who wait are told before the value is written: writing may take its time."""
        clears = self.cache.clears
        found = await self.cache.get(key)
        value = await compute() if found is None else found
        if flight is not None:
            flight.set_result(value)
        if found is None and self.cache.clears == clears:
            await self.cache.set(key, value, ttl_s)
        return value
