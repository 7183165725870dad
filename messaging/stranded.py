"""Messages that lie in a work queue and that no consumer will deliver any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from contracts import topology
from messaging.storage import Storage, Stored

READ_AT_ONCE: Final = 4
"""Messages may be large, and mostly the first one says that nothing is stranded."""


async def stranded(storage: Storage, consumer: topology.Consumer, *, done_with: int) -> AsyncIterator[Stored]:
    """What the work queue of a consumer holds up to the sequence that it is done with (`consumers.done_with`), oldest
    first: it was handed out as often as it may be. Raises `BrokerUnavailableError`.
    """
    if done_with == 0:  # nothing was delivered yet, or whoever reads it will restore it
        return
    async for stored in storage.every(consumer.stream.name, consumer.filter_subject, limit=READ_AT_ONCE):
        if stored.sequence > done_with:
            return
        yield stored
