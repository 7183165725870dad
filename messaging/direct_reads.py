"""The broker's direct get (ADR-31 of the NATS architecture repository): one request, answered from the stream's index.

The fast way to read, and exact as long as the stream has a single replica. Of several any may answer, so that streams
with replicas do not allow it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from messaging.broker import Broker
from messaging.cancelling import heeding_cancellation
from messaging.errors import BrokerUnavailableError
from messaging.replies import Replies
from messaging.stored import Stored, unreadable

MAX_SUBJECTS = 1000
"""Most subjects in one request for latest messages; the broker's own limit is 1024 results."""

_DIRECT_GET = "$JS.API.DIRECT.GET"
_END_OF_BATCH = "204"
_NOT_FOUND = "404"
_NO_RESPONDERS = "503"


class NobodyAnswersError(BrokerUnavailableError):
    """Nobody answers direct gets of this stream: it is not there (yet), or does not allow them."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"{stream} cannot be read: it is not there (run `waggle provision`), or JetStream is not up")


class DirectReads:
    """Reads as `Storage` offers them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._replies = Replies(broker)

    async def last(self, stream: str, subject: str) -> Stored | None:
        try:
            request = self._broker.nc.request(f"{_DIRECT_GET}.{stream}.{subject}", timeout=self._timeout_s)
            reply = await heeding_cancellation(request)
        except nats.errors.NoRespondersError as error:
            raise NobodyAnswersError(stream) from error
        except (nats.errors.Error, OSError) as error:
            raise unreadable(stream, error) from error
        status = _status(reply)
        if status == _NOT_FOUND:
            return None
        if status is not None:
            raise unreadable(stream, f"status {status}")
        return _stored(reply)

    async def latest(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        found: list[Stored] = []
        for start in range(0, len(subjects), MAX_SUBJECTS):
            part = list(subjects[start : start + MAX_SUBJECTS])
            found += await self._request(stream, {"multi_last": part})
        return found

    async def following(
        self, stream: str, subject: str, *, after: int, since: datetime | None, limit: int
    ) -> list[Stored]:
        request: dict[str, Any] = {"next_by_subj": subject, "batch": limit}
        if since is None:
            request["seq"] = after + 1
        else:
            request["start_time"] = since.isoformat()
        return await self._request(stream, request)

    async def at(self, stream: str, sequence: int) -> Stored | None:
        found = await self.following(stream, ">", after=sequence - 1, since=None, limit=1)
        return found[0] if found and found[0].sequence == sequence else None

    async def count(self, stream: str, subject: str) -> int:
        first = await self.following(stream, subject, after=0, since=None, limit=1)
        return first[0].pending + 1 if first else 0

    @property
    def _timeout_s(self) -> float:
        return self._broker.publish_timeout_s

    async def _request(self, stream: str, request: Mapping[str, Any]) -> list[Stored]:
        found: list[Stored] = []
        subject = f"{_DIRECT_GET}.{stream}"
        try:
            with await self._replies.expected() as (inbox, replies):
                async with self._broker.heeding(subject), asyncio.timeout(self._timeout_s):
                    await self._broker.nc.publish(subject, json.dumps(request).encode(), reply=inbox)
                    while (status := _status(reply := await replies.get())) is None:
                        found.append(_stored(reply))
        except (nats.errors.Error, OSError) as error:
            raise unreadable(stream, error) from error
        if status == _NO_RESPONDERS:
            raise NobodyAnswersError(stream)
        if status not in (_END_OF_BATCH, _NOT_FOUND):
            raise unreadable(stream, f"status {status}")
        return found


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
