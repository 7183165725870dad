"""Entries in the broker's KV bucket `cache`: no server beside the one that is there anyway."""

from __future__ import annotations

import math

from contracts import topology
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.caching.keys import CacheKey
from messaging.caching.statistics import Size


class BucketStore:
    """Keys are `<tenant>.<kind>.<digest>`. The bucket must discard what is old, and let entries have a life of their own.

    The broker counts lives in whole seconds. A removed entry leaves no marker behind.
    """

    name = "nats"

    def __init__(self, broker: Broker, bucket: topology.KeyValue = topology.CACHE) -> None:
        self._bucket = Bucket(broker, bucket)

    async def open(self) -> None:
        """The connection is there already, and the bucket is the provisioning's."""

    async def read(self, key: CacheKey) -> bytes | None:
        entry = await self._bucket.get(_name(key))
        return entry.value if entry else None

    async def write(self, key: CacheKey, data: bytes, ttl_s: float) -> None:
        await self._bucket.put(_name(key), data, ttl_s=math.ceil(ttl_s))

    async def remove(self, key: CacheKey) -> None:
        await self._purge(_name(key))

    async def clear(self, tenant: str | None) -> int:
        return await self._purge(">" if tenant is None else f"{tenant}.>")

    async def size(self) -> Size:
        entries, size_bytes = await self._bucket.storage.size(self._bucket.stream)
        return Size(entries=entries, bytes=size_bytes)

    async def close(self) -> None:
        """The connection is not ours."""

    async def _purge(self, keys: str) -> int:
        return await self._bucket.storage.purge(self._bucket.stream, self._bucket.subject(keys))


def _name(key: CacheKey) -> str:
    return f"{key.tenant}.{key.kind}.{key.digest}"
