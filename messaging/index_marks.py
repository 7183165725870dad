"""Which place the index is in, as whoever used it last knows: kept beside the configuration, under `index.mark`."""

from __future__ import annotations

from typing import Final

from contracts import topology
from messaging.broker import Broker
from messaging.buckets import Bucket, StaleRevisionError

KEY: Final = "index.mark"


class IndexMark:
    """So that a process that starts at another address knows whether it leads to the same place."""

    def __init__(self, broker: Broker) -> None:
        self._bucket = Bucket(broker, topology.CONFIG)

    async def read(self) -> str | None:
        """None: nobody has used an index with a standby yet. Raises `TransientError` when the broker does not answer."""
        entry = await self._bucket.get(KEY)
        return entry.value.decode() if entry is not None and entry.value else None

    async def write(self, mark: str) -> None:
        """Of several who write at once one does; they are of one place. Raises `TransientError` when nothing could be stored."""
        entry = await self._bucket.get(KEY)
        if entry is not None and entry.value == mark.encode():
            return
        try:
            await self._bucket.write(KEY, mark.encode(), revision=entry.revision if entry else 0)
        except StaleRevisionError:
            return
