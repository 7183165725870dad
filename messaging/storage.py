"""Reading what streams hold, without consumers.

A reader never misses what it, or whoever told it, has written. Of a stream with one replica that is had from direct gets;
a stream with several does not allow those, and its leader is asked. It needs no right to create consumers, can be
restricted per stream, and a reader's position is a stream sequence in its own hands, so nothing is missed over a reconnect
or a broker restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

from contracts.errors import TransientError
from messaging.broker import Broker
from messaging.clock import parse_time
from messaging.direct_reads import DirectReads, NobodyAnswersError
from messaging.errors import BrokerUnavailableError
from messaging.jetstream_api import JetStreamApi, refused
from messaging.leader_reads import LeaderReads
from messaging.live import Live, listening, woken_within
from messaging.stored import Stored

POLL_S = 1.0
"""How often a follower looks by itself, should a wake-up have been lost."""

SETTLE_S = 0.005
"""Subscribers hear of a message before the stream has stored it: look this much later, then in doubling steps."""

Reads = DirectReads | LeaderReads
T = TypeVar("T")


class StreamResetError(TransientError):
    """The stream is younger than the position asked for: it was wiped or made anew. Start again from its beginning."""


class Storage:
    """Reads of one connection's streams. All raise `BrokerUnavailableError` when there is no answer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._direct = DirectReads(broker)
        self._leader = LeaderReads(broker)
        self._api = JetStreamApi(broker)
        self._led: set[str] = set()

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of one subject, or None."""
        return await self._read(stream, lambda reads: reads.last(stream, subject))

    async def latest(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        """The newest message of each subject that has one."""
        return await self._read(stream, lambda reads: reads.latest(stream, subjects))

    async def following(
        self, stream: str, subject: str, *, after: int = 0, since: datetime | None = None, limit: int = 256
    ) -> list[Stored]:
        """Up to `limit` messages of a subject (wildcards allowed) in order, after a sequence or since a time."""
        return await self._read(
            stream, lambda reads: reads.following(stream, subject, after=after, since=since, limit=limit)
        )

    async def at(self, stream: str, sequence: int) -> Stored | None:
        """The message with this sequence, or None when the stream does not hold it (any more)."""
        return await self._read(stream, lambda reads: reads.at(stream, sequence))

    async def holds(self, stream: str, stored: Stored) -> bool:
        """Whether the stream still holds this very message: sequences begin anew where a stream is made anew."""
        known = await self.at(stream, stored.sequence)
        return known is not None and known.stored_at == stored.stored_at

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove one message; one that is gone already is no error."""
        self._require_connection(stream)
        reply = await self._api.ask(f"STREAM.MSG.DELETE.{stream}", stream, {"seq": sequence})
        if "error" in reply and await self.at(stream, sequence) is not None:
            raise refused(stream, reply["error"])

    async def count(self, stream: str, subject: str) -> int:
        """How many messages of a subject (wildcards allowed) the stream holds."""
        return await self._read(stream, lambda reads: reads.count(stream, subject))

    async def every(self, stream: str, subject: str, *, after: int = 0, limit: int = 256) -> AsyncIterator[Stored]:
        """All messages of a subject (wildcards allowed) after a sequence, in order, and those stored meanwhile."""
        while batch := await self.following(stream, subject, after=after, limit=limit):
            for message in batch:
                yield message
            after = batch[-1].sequence

    async def follow(
        self,
        stream: str,
        subject: str,
        *,
        after: int = 0,
        since: datetime | None = None,
        limit: int = 256,
        poll_s: float = POLL_S,
        eager: bool = True,
    ) -> AsyncIterator[Stored]:
        """Every message of a subject after a sequence (or since a time), for ever, in order and without gaps.

        An `eager` follower notices new ones at once, others every `poll_s`; a broker that is away is waited for. Raises `StreamResetError` when the stream
        does not reach back to `after` any more because it is another one.
        """
        connection, pause_s = -1, poll_s
        async with self._woken_by(subject if eager else None) as woken:
            while True:
                woken.clear()
                try:
                    if connection != (current := self._connections):
                        await self._require_reach(stream, after)
                        connection = current
                    batch = await self.following(stream, subject, after=after, since=since, limit=limit)
                except BrokerUnavailableError:  # it is back some time; the position is ours
                    batch = []
                for message in batch:
                    yield message
                    after, since = message.sequence, None
                pause_s = 0 if len(batch) == limit else poll_s if batch else min(2 * pause_s, poll_s)
                if await woken_within(woken, pause_s):
                    pause_s = SETTLE_S
                    await asyncio.sleep(SETTLE_S)

    async def purge(self, stream: str, subject: str, *, up_to: int | None = None) -> int:
        """Remove all messages of a subject (wildcards allowed), or those up to a sequence; how many there were."""
        self._require_connection(stream)
        up_to_here = {} if up_to is None else {"seq": up_to + 1}
        reply = await self._api.told(f"STREAM.PURGE.{stream}", stream, {"filter": subject, **up_to_here})
        return int(reply["purged"])

    async def size(self, stream: str) -> tuple[int, int]:
        """How many messages the stream holds, and their bytes."""
        self._require_connection(stream)
        state = (await self._leader.info(stream, {}))["state"]
        return int(state["messages"]), int(state["bytes"])

    @property
    def _connections(self) -> int:
        return int(self._broker.nc.stats["reconnects"])

    def _require_connection(self, stream: str) -> None:
        if not self._broker.is_connected:
            raise BrokerUnavailableError(f"not connected to the broker, {stream} cannot be read")

    async def last_sequence(self, stream: str) -> int:
        """The sequence of the newest message a stream has stored, 0 when it never had one."""
        self._require_connection(stream)
        return int((await self._leader.info(stream, {}))["state"]["last_seq"])

    async def subjects(self, stream: str, subject: str) -> dict[str, int]:
        """The subjects that match a pattern, each with its number of messages."""
        self._require_connection(stream)
        return await self._leader.subjects(stream, subject)

    async def created_at(self, stream: str) -> datetime:
        """When the stream was made, by the broker's clock."""
        self._require_connection(stream)
        return parse_time((await self._leader.info(stream, {}))["created"])

    async def _read(self, stream: str, read: Callable[[Reads], Awaitable[T]]) -> T:
        self._require_connection(stream)
        if stream in self._led:
            return await read(self._leader)
        try:
            return await read(self._direct)
        except NobodyAnswersError:
            if (await self._leader.info(stream, {}))["config"].get("allow_direct"):
                raise  # it has one replica, which is not up yet
        self._led.add(stream)
        return await read(self._leader)

    async def _require_reach(self, stream: str, after: int) -> None:
        last = await self.last_sequence(stream)
        if last < after:
            raise StreamResetError(f"{stream} ends at {last}, before {after}: it was made anew, read it from the start")

    @asynccontextmanager
    async def _woken_by(self, subject: str | None) -> AsyncIterator[asyncio.Event]:
        woken = asyncio.Event()

        async def wake(_: Live) -> None:
            woken.set()

        async with listening(self._broker, *([] if subject is None else [subject]), hear=wake):
            yield woken


__all__ = ["Storage", "Stored", "StreamResetError"]
