"""Which embed batches of a generation are finished: one key each, created once, never contended."""

from __future__ import annotations

from contextlib import suppress

from contracts import topology
from messaging.broker import Broker
from messaging.buckets import Bucket, StaleRevisionError
from messaging.storage import Storage


class FinishedBatches:
    """Counts finished batches. Repeating `finish` for a batch counts it once."""

    def __init__(self, broker: Broker, *, storage: Storage | None = None) -> None:
        self._bucket = Bucket(broker, topology.BATCHES, storage=storage)

    async def finish(self, generation: str, batch: int) -> int:
        """Record a finished batch and return how many of this generation are.

        Whoever records the last one sees the full count; two that finish at the same moment may both see it.
        """
        with suppress(StaleRevisionError):  # a repeat: it is recorded already
            await self._bucket.write(f"{generation}.{batch}", b"", revision=0)
        return await self.count(generation)

    async def count(self, generation: str) -> int:
        return await self._bucket.storage.count(self._bucket.stream, self._bucket.subject(f"{generation}.*"))

    async def clear(self, generation: str) -> None:
        """Forget a generation's batches, once it is ready or void."""
        await self._bucket.storage.purge(self._bucket.stream, self._bucket.subject(f"{generation}.*"))
