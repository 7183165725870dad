"""What a bucket holds, now and whenever it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog

from contracts import topology
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry
from messaging.errors import BrokerUnavailableError
from messaging.live import Live, listening, woken_within

POLL_S: Final = 15.0
"""How often the keys are read whatever was heard: a watch may be silent after its broker was away, and what ages out is
told to nobody."""
SETTLE_S: Final = 0.005
"""Subscribers hear of a write before it is stored: look this much later, then in doubling steps."""
SETTLED_S: Final = 1.0

log = structlog.get_logger(__name__)

Entries = Mapping[str, Entry]
"""By key; those that were deleted are not there."""


class BucketWatch:
    """The keys of a bucket that match a pattern."""

    def __init__(self, broker: Broker, bucket: topology.KeyValue, pattern: str, *, poll_s: float = POLL_S) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, bucket)
        self._pattern = pattern
        self._poll_s = poll_s

    async def read(self) -> Entries:
        """As they are. Raises `BrokerUnavailableError`."""
        return {
            key: entry for key, entry in (await self._bucket.newest(self._pattern)).items() if entry.value is not None
        }

    async def states(self) -> AsyncIterator[Entries]:
        """As they are, and again after each change, for ever; a broker that is away is waited for."""
        woken = asyncio.Event()

        async def wake(_: Live) -> None:
            woken.set()

        known: Entries | None = None
        pause_s = 0.0
        async with listening(self._broker, self._bucket.subject(self._pattern), hear=wake):
            while True:
                if await woken_within(woken, pause_s):
                    pause_s = SETTLE_S
                    await asyncio.sleep(SETTLE_S)
                woken.clear()
                try:
                    found = await self.read()
                except BrokerUnavailableError as error:
                    log.debug("bucket not read, what is known goes on", pattern=self._pattern, reason=str(error))
                    pause_s = SETTLED_S
                    continue
                if known is None or found != known:
                    known = found
                    yield found
                    pause_s = self._poll_s
                else:
                    pause_s = min(2 * pause_s, SETTLED_S) if SETTLE_S <= pause_s < SETTLED_S else self._poll_s
