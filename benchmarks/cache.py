"""What a hit costs in each cache, beside the bare client that it is made of."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cachetools
from pydantic import SecretStr
from redis.asyncio import Redis

from benchmarks.figures import Figure, against, percentile
from contracts import topology
from contracts.cache_settings import CacheBackend, CacheSettings
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.caching.base import Cache
from messaging.caching.keys import CacheKey, CacheKind
from messaging.caching.memory import MemoryCache
from messaging.caching.nats import BucketStore
from messaging.caching.redis import RedisStore
from messaging.caching.remote import RemoteCache, Store
from messaging.caching.tiered import TieredCache
from messaging.provisioning import provision
from tests.support.redis_server import INSTALL, RedisServer, find_redis

ROUNDS = 2_000
WARM_UP = 200
VALUE = b"x" * 4096
"""About the size of an answer with its passages."""
TTL_S = 3600.0
TIMEOUT_S = 1.0
KEY = CacheKey.of(CacheKind.ANSWER, "default", question="How often is the varroa count taken?")
RAW_NAME = "default.raw"
SHARED_BAR = "<= 1.5"

Get = Callable[[], Awaitable[object]]


async def measure() -> list[Figure]:
    """`cache_hit_<backend>`: the median of a hit in microseconds; ratio to the bare client, taken turn by turn."""
    with TemporaryDirectory(prefix="waggle-bench-") as folder:
        return [await _memory(), *await _nats(Path(folder)), *await _redis(Path(folder))]


async def _memory() -> Figure:
    cache = MemoryCache(max_bytes=2**26, max_entries=1000)
    await cache.set(KEY, VALUE, TTL_S)
    bare: cachetools.TTLCache[CacheKey, bytes] = cachetools.TTLCache(1000, TTL_S)
    bare[KEY] = VALUE

    async def raw() -> object:
        return bare.get(KEY)

    return await _compared("cache_hit_memory", lambda: cache.get(KEY), raw)


async def _nats(folder: Path) -> list[Figure]:
    async with _broker(folder) as broker:
        kv = await broker.js.key_value(topology.CACHE.name)
        await kv.put(RAW_NAME, VALUE)
        return await _shared("nats", BucketStore(broker), lambda: kv.get(RAW_NAME))


async def _redis(folder: Path) -> list[Figure]:
    binary = find_redis()
    if binary is None:
        print(f"cache_hit_redis is left out: {INSTALL}")
        return []
    with RedisServer(folder / "redis", binary) as server:
        settings = CacheSettings(
            cache=CacheBackend.REDIS, redis_url=server.url, redis_password=SecretStr(server.password)
        )
        async with Redis.from_url(server.url, password=server.password) as bare:
            await bare.set(RAW_NAME, VALUE)
            return await _shared("redis", RedisStore(settings), lambda: bare.get(RAW_NAME))


async def _shared(name: str, store: Store, raw: Get) -> list[Figure]:
    """Each hit from the server, and each from the memory before it."""
    far = RemoteCache(store, timeout_s=TIMEOUT_S)
    await far.open()
    await far.set(KEY, VALUE, TTL_S)
    tiered: Cache = TieredCache(MemoryCache(max_bytes=2**26, max_entries=1000), far, near_ttl_s=TTL_S)
    try:
        return [
            await _compared(f"cache_hit_{name}", lambda: far.get(KEY), raw, bar=SHARED_BAR),
            await _compared(f"cache_hit_{name}_near", lambda: tiered.get(KEY), raw),
        ]
    finally:
        await tiered.close()


async def _compared(name: str, get: Get, raw: Get, *, bar: str = "") -> Figure:
    ours, bare = list[float](), list[float]()
    for turn in range(WARM_UP + ROUNDS):
        for one, times in ((get, ours), (raw, bare)):
            began = time.perf_counter()
            found = await one()
            taken_us = (time.perf_counter() - began) * 1e6
            if not found:
                raise RuntimeError(f"{name}: an entry that was set is not found")
            if turn >= WARM_UP:
                times.append(taken_us)
    return against(name, percentile(ours, 0.5), percentile(bare, 0.5), unit="µs", bar=bar)


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[Broker]:
    with NatsServer(folder / "nats") as server:
        broker = await Broker.connect(BrokerSettings(nats_url=server.url), name="benchmark", on_closed=lambda: None)
        try:
            await provision(broker)
            yield broker
        finally:
            await broker.close()
