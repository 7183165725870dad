"""Reading what streams hold, without consumers.

Everything here is the broker's direct get (ADR-31 of the NATS architecture repository): one request, answered from the
stream's own index. It needs no right to create consumers, can be restricted per stream and subject, and its position is a
stream sequence in the caller's hands, so nothing is missed over a reconnect or a broker restart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg

from contracts.errors import TransientError
from messaging.broker import Broker
from messaging.cancelling import heeding_cancellation
from messaging.clock import parse_time
from messaging.errors import BrokerUnavailableError
from messaging.live import Live, listening
from messaging.replies import Replies

SUBJECTS_PER_REPLY = 100_000
"""How many subjects the broker tells at once (nats-server, JSMaxSubjectDetails)."""

MAX_SUBJECTS = 1000
"""Most subjects in one request for latest messages; the broker's own limit is 1024 results."""

POLL_S = 1.0
"""How often a follower looks by itself, should a wake-up have been lost."""

SETTLE_S = 0.005
"""Subscribers hear of a message before the stream has stored it: look this much later, then in doubling steps."""

_ADDED_HEADERS = frozenset(
    {"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Last-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending"}
)
_DIRECT_GET = "$JS.API.DIRECT.GET"
_END_OF_BATCH = "204"
_NOT_FOUND = "404"
_NO_RESPONDERS = "503"


class StreamResetError(TransientError):
    """The stream is younger than the position asked for: it was wiped or made anew. Start again from its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message as the stream holds it; `pending` counts those that matched after it when it was read."""

    subject: str
    sequence: int
    headers: Mapping[str, str]
    data: bytes
    pending: int = 0

    @property
    def stored_at(self) -> datetime:
        """When the broker stored it (its own clock)."""
        return parse_time(self.headers["Nats-Time-Stamp"])

    @property
    def published_headers(self) -> dict[str, str]:
        """Those that the publisher set, without what the broker adds on reading."""
        return {name: value for name, value in self.headers.items() if name not in _ADDED_HEADERS}


class Storage:
    """Direct reads of one connection's streams. All reads raise `BrokerUnavailableError` when there is no answer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._replies = Replies(broker)

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of one subject, or None."""
        self._require_connection(stream)
        try:
            request = self._broker.nc.request(f"{_DIRECT_GET}.{stream}.{subject}", timeout=self._timeout_s)
            reply = await heeding_cancellation(request)
        except (nats.errors.Error, OSError) as error:
            raise _unavailable(stream, error) from error
        status = _status(reply)
        if status == _NOT_FOUND:
            return None
        if status is not None:
            raise _unavailable(stream, f"status {status}")
        return _stored(reply)

    async def latest(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        """The newest message of each subject that has one, in one request per `MAX_SUBJECTS` subjects."""
        found: list[Stored] = []
        for start in range(0, len(subjects), MAX_SUBJECTS):
            part = list(subjects[start : start + MAX_SUBJECTS])
            found += await self._request(stream, {"multi_last": part})
        return found

    async def following(
        self, stream: str, subject: str, *, after: int = 0, since: datetime | None = None, limit: int = 256
    ) -> list[Stored]:
        """Up to `limit` messages of a subject (wildcards allowed) in order, after a sequence or since a time."""
        request: dict[str, Any] = {"next_by_subj": subject, "batch": limit}
        if since is None:
            request["seq"] = after + 1
        else:
            request["start_time"] = since.isoformat()
        return await self._request(stream, request)

    async def at(self, stream: str, sequence: int) -> Stored | None:
        """The message with this sequence, or None when the stream does not hold it (any more)."""
        found = await self.following(stream, ">", after=sequence - 1, limit=1)
        return found[0] if found and found[0].sequence == sequence else None

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove one message; one that is gone already is no error."""
        self._require_connection(stream)
        try:
            await heeding_cancellation(self._broker.js.delete_msg(stream, sequence))
        except nats.js.errors.APIError as error:
            if await self.at(stream, sequence) is not None:
                raise _unavailable(stream, error) from error
        except (nats.errors.Error, OSError) as error:
            raise _unavailable(stream, error) from error

    async def count(self, stream: str, subject: str) -> int:
        """How many messages of a subject (wildcards allowed) the stream holds."""
        first = await self.following(stream, subject, limit=1)
        return first[0].pending + 1 if first else 0

    async def every(self, stream: str, subject: str, *, limit: int = 256) -> AsyncIterator[Stored]:
        """All messages of a subject (wildcards allowed) that the stream holds, in order, and those stored meanwhile."""
        after = 0
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
                if await _woken_within(woken, pause_s):
                    pause_s = SETTLE_S
                    await asyncio.sleep(SETTLE_S)

    async def purge(self, stream: str, subject: str, *, up_to: int | None = None) -> None:
        """Remove all messages of a subject (wildcards allowed), or those up to a sequence."""
        self._require_connection(stream)
        after = None if up_to is None else up_to + 1
        try:
            await heeding_cancellation(self._broker.js.purge_stream(stream, subject=subject, seq=after))
        except (nats.errors.Error, OSError) as error:
            raise _unavailable(stream, error) from error

    @property
    def _timeout_s(self) -> float:
        return self._broker.publish_timeout_s

    @property
    def _connections(self) -> int:
        return int(self._broker.nc.stats["reconnects"])

    def _require_connection(self, stream: str) -> None:
        if not self._broker.is_connected:
            raise BrokerUnavailableError(f"not connected to the broker, {stream} cannot be read")

    async def last_sequence(self, stream: str) -> int:
        """The sequence of the newest message a stream has stored, 0 when it never had one."""
        self._require_connection(stream)
        try:
            return int((await heeding_cancellation(self._broker.js.stream_info(stream))).state.last_seq)
        except (nats.errors.Error, OSError) as error:
            raise _unavailable(stream, error) from error

    async def subjects(self, stream: str, subject: str) -> dict[str, int]:
        """The subjects that match a pattern, each with its number of messages."""
        found: dict[str, int] = {}
        while True:
            request = {"subjects_filter": subject, "offset": len(found)}
            part = (await self._info(stream, request))["state"].get("subjects") or {}
            found |= part
            if len(part) < SUBJECTS_PER_REPLY:
                return found

    async def created_at(self, stream: str) -> datetime:
        """When the stream was made, by the broker's clock."""
        return parse_time((await self._info(stream, {}))["created"])

    async def _info(self, stream: str, request: Mapping[str, Any]) -> dict[str, Any]:
        self._require_connection(stream)
        try:
            asked = self._broker.nc.request(
                f"$JS.API.STREAM.INFO.{stream}", json.dumps(request).encode(), timeout=self._timeout_s
            )
            info: dict[str, Any] = json.loads((await heeding_cancellation(asked)).data)
        except (nats.errors.Error, OSError) as error:
            raise _unavailable(stream, error) from error
        if "error" in info:
            raise _unavailable(stream, info["error"].get("description", "unknown"))
        return info

    async def _require_reach(self, stream: str, after: int) -> None:
        last = await self.last_sequence(stream)
        if last < after:
            raise StreamResetError(f"{stream} ends at {last}, before {after}: it was made anew, read it from the start")

    async def _request(self, stream: str, request: Mapping[str, Any]) -> list[Stored]:
        self._require_connection(stream)
        found: list[Stored] = []
        try:
            with await self._replies.expected() as (inbox, replies):
                await self._broker.nc.publish(f"{_DIRECT_GET}.{stream}", json.dumps(request).encode(), reply=inbox)
                async with asyncio.timeout(self._timeout_s):
                    while (status := _status(reply := await replies.get())) is None:
                        found.append(_stored(reply))
        except (nats.errors.Error, OSError) as error:
            raise _unavailable(stream, error) from error
        if status not in (_END_OF_BATCH, _NOT_FOUND):
            raise _unavailable(stream, f"status {status}")
        return found

    @asynccontextmanager
    async def _woken_by(self, subject: str | None) -> AsyncIterator[asyncio.Event]:
        woken = asyncio.Event()

        async def wake(_: Live) -> None:
            woken.set()

        async with listening(self._broker, *([] if subject is None else [subject]), hear=wake):
            yield woken


async def _woken_within(woken: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await woken.wait()
    except TimeoutError:
        return False


def _status(reply: Msg) -> str | None:
    return reply.headers.get("Status") if reply.headers else None


def _stored(reply: Msg) -> Stored:
    headers = reply.headers or {}
    return Stored(
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        headers=headers,
        data=reply.data,
        pending=int(headers.get("Nats-Num-Pending", 0)),
    )


def _unavailable(stream: str, why: object) -> BrokerUnavailableError:
    missing = why == f"status {_NO_RESPONDERS}" or isinstance(why, nats.js.errors.NotFoundError)
    reason = "it is not provisioned, or does not allow direct reads" if missing else why
    return BrokerUnavailableError(f"{stream} cannot be read: {reason}")
