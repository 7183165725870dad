"""Events that a stream keeps, read back page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

import structlog

from contracts import topology
from contracts.declarations import Stream
from contracts.errors import WaggleError
from contracts.message import Message
from messaging.broker import Broker
from messaging.storage import Storage
from messaging.stored import Stored

MOST_READ: Final = 10_000
"""Messages looked at for one page, whatever they say."""
BATCH: Final = 256

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Events in the order in which they were stored. `after` is where the next page begins; None: there is no more.

    An event may be there twice, under the same id: it was published again when in doubt.
    """

    events: tuple[T, ...]
    after: int | None
    read: int = 0
    """How many messages were looked at for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Stored from `since` up to, not including, `until`; after the sequence `after`, which then tells where it begins."""

    since: datetime | None = None
    until: datetime | None = None
    after: int = 0


class EventPages:
    """Raises `BrokerUnavailableError` when the broker is away. `batch`: how many messages are read at a time."""

    def __init__(self, broker: Broker, *, stream: Stream = topology.OPS, batch: int = BATCH) -> None:
        self._storage = Storage(broker)
        self._stream = stream.name
        self._batch = batch

    async def page(
        self,
        pattern: str,
        wanted: Callable[[Stored], T | None],
        span: Span,
        *,
        limit: int,
        most_read: int = MOST_READ,
    ) -> Page[T]:
        """Up to `limit` of what `wanted` makes of the messages of a subject. A page may hold fewer and still not be the last."""
        found: list[T] = []
        read, after, since = 0, span.after, None if span.after else span.since
        while True:
            batch = await self._storage.following(
                self._stream, pattern, after=after, since=since, limit=min(self._batch, most_read - read)
            )
            since = None
            for stored in batch:
                if span.until is not None and stored.stored_at >= span.until:
                    return Page(tuple(found), None, read)
                read, after = read + 1, stored.sequence
                event = wanted(stored)
                if event is not None:
                    found.append(event)
                    if len(found) == limit:
                        return Page(tuple(found), after, read)
            if not batch or not batch[-1].pending:
                return Page(tuple(found), None, read)
            if read >= most_read:
                return Page(tuple(found), after, read)


def event_of(kind: type[M], stored: Stored) -> M | None:
    """The event, or None for what is none; that is logged."""
    try:
        return kind.from_bytes(stored.data)
    except WaggleError as error:  # of a newer release, say
        log.warning("not an event of its subject", subject=stored.subject, sequence=stored.sequence, reason=str(error))
        return None
