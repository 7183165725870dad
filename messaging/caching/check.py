"""What a worker tells of the cache that it shares with others."""

from __future__ import annotations

import time
from collections.abc import Callable

from contracts.backends import CACHE
from contracts.cache_settings import CacheSettings
from contracts.health import FACT_CACHE, BackendCheck, CheckStatus
from messaging.app import WorkerApp
from messaging.caching.base import Cache


def tell_of_cache(app: WorkerApp, settings: CacheSettings, cache: Callable[[], Cache]) -> None:
    """Tell in the heartbeats where the cache is, and whether it takes an entry and gives it back; nothing of one in memory.

    `cache` is asked once the worker has started.
    """
    if not settings.shares_cache:
        return

    async def look() -> BackendCheck:
        begun = time.perf_counter()
        await cache().look()
        took_ms = (time.perf_counter() - begun) * 1000
        return BackendCheck(name=CACHE, status=CheckStatus.OK, latency_ms=took_ms)

    app.tell(FACT_CACHE, settings.cache.value)
    app.check(CACHE, look, every_s=app.settings.probe_interval_s)
