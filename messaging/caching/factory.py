"""Builds the cache that the settings name. Redis' client is imported here, when it is needed."""

from __future__ import annotations

from contracts.cache_settings import CacheBackend, CacheSettings
from contracts.errors import PermanentError
from messaging.broker import Broker
from messaging.caching.announcing import AnnouncingCache
from messaging.caching.base import Cache
from messaging.caching.memory import MemoryCache
from messaging.caching.nats import BucketStore
from messaging.caching.off import NoCache
from messaging.caching.remote import RemoteCache, Store
from messaging.caching.tiered import TieredCache


def build_cache(settings: CacheSettings, broker: Broker) -> Cache:
    """The cache of this process, not yet open. Raises `PermanentError` when what it needs is not installed."""
    if settings.cache is CacheBackend.OFF:
        return NoCache()
    near = MemoryCache(max_bytes=settings.cache_max_bytes, max_entries=settings.cache_max_entries)
    if settings.cache is CacheBackend.MEMORY:
        return AnnouncingCache(near, broker)
    store = BucketStore(broker) if settings.cache is CacheBackend.NATS else _redis(settings)
    far = RemoteCache(store, timeout_s=settings.cache_timeout_s, now=lambda: broker.clock.now().timestamp())
    tiered = TieredCache(near, far, near_ttl_s=settings.cache_near_ttl_s)
    return AnnouncingCache(tiered, broker)


def _redis(settings: CacheSettings) -> Store:
    try:
        from messaging.caching.redis import RedisStore
    except ModuleNotFoundError as error:
        raise PermanentError(
            "WAGGLE_CACHE=redis needs its client: in the folder of Waggle, uv pip install -e '.[redis]'"
        ) from error
    return RedisStore(settings)
