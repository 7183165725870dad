"""A `clear` in one process reaches the memory of all others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from contracts import subjects
from contracts.caching import CacheCleared
from contracts.errors import WaggleError
from contracts.identifiers import new_id
from messaging.broker import Broker
from messaging.caching.base import Cache
from messaging.caching.keys import CacheKey
from messaging.caching.statistics import Level, LevelStats
from messaging.errors import BrokerUnavailableError

log = structlog.get_logger(__name__)


class AnnouncingCache:
    """Wraps the cache of a process: tells of every `clear`, and forgets when it hears of another's.

    Word of it is a plain message, which is missed while the connection is broken off: when it is back all is forgotten. What
    is lost on the way all the same ages out with the memory's own time to live.
    """

    def __init__(self, cache: Cache, broker: Broker) -> None:
        self._cache = cache
        self._broker = broker
        self._origin = new_id()
        self._subscription: Subscription | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def levels(self) -> Sequence[Level]:
        return self._cache.levels

    @property
    def clears(self) -> int:
        return self._cache.clears

    async def open(self) -> None:
        await self._cache.open()
        self._subscription = await self._broker.nc.subscribe(subjects.CACHE_CONTROL, cb=self._hear)
        self._watching = asyncio.create_task(self._forget_after_outages(), name="cache")

    async def get(self, key: CacheKey) -> bytes | None:
        return await self._cache.get(key)

    async def set(self, key: CacheKey, value: bytes, ttl_s: float) -> None:
        await self._cache.set(key, value, ttl_s)

    async def delete(self, key: CacheKey) -> None:
        await self._cache.delete(key)

    async def clear(self, tenant: str | None) -> int:
        removed = await self._cache.clear(tenant)
        await self._tell(CacheCleared(origin=self._origin, tenant=tenant))
        return removed

    def forget(self, tenant: str | None) -> int:
        return self._cache.forget(tenant)

    async def stats(self) -> tuple[LevelStats, ...]:
        return await self._cache.stats()

    async def look(self) -> None:
        await self._cache.look()

    async def close(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._broker.nc.is_closed:
            await subscription.unsubscribe()
        await self._cache.close()

    async def _tell(self, cleared: CacheCleared) -> None:
        untold = "other processes were not told to clear their cache"
        if not self._broker.is_connected:
            raise BrokerUnavailableError(f"{untold}: not connected to the broker")
        try:
            await self._broker.nc.publish(subjects.CACHE_CONTROL, cleared.to_bytes())
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"{untold}: {error}") from error

    async def _hear(self, message: Msg) -> None:
        try:
            told = CacheCleared.from_bytes(message.data)
        except WaggleError as error:  # whatever it says, somebody's entries are not to be trusted
            log.warning("all that is cached in memory is forgotten", reason=str(error))
            self.forget(None)
            return
        if told.origin != self._origin:
            self.forget(told.tenant)

    async def _forget_after_outages(self) -> None:
        while True:
            await self._broker.connected_anew()
            self.forget(None)
