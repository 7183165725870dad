"""Reads that only the leader of a stream answers: whoever has been told of a write finds it.

One message a request, so it is the slower way; for streams with replicas, where a direct get may meet one that lags.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from messaging.broker import Broker
from messaging.client import HeaderedClient
from messaging.jetstream_api import JetStreamApi, refused
from messaging.stored import Stored

AT_ONCE = 32
"""Most requests for latest messages that are under way at once."""

SUBJECTS_PER_REPLY = 100_000
"""How many subjects the broker tells at once (nats-server, JSMaxSubjectDetails)."""

_ERR_NO_MESSAGE = 10037


class LeaderReads:
    """Reads as `Storage` offers them, and what else the leader alone tells."""

    def __init__(self, broker: Broker) -> None:
        self._api = JetStreamApi(broker)

    async def last(self, stream: str, subject: str) -> Stored | None:
        return await self._get(stream, {"last_by_subj": subject})

    async def latest(self, stream: str, subjects: Sequence[str]) -> list[Stored]:
        found: list[Stored] = []
        for start in range(0, len(subjects), AT_ONCE):
            part = subjects[start : start + AT_ONCE]
            stored = await asyncio.gather(*(self.last(stream, subject) for subject in part))
            found += [each for each in stored if each is not None]
        return sorted(found, key=lambda each: each.sequence)

    async def following(
        self, stream: str, subject: str, *, after: int, since: datetime | None, limit: int
    ) -> list[Stored]:
        found: list[Stored] = []
        position: dict[str, Any] = {"seq": after + 1} if since is None else {"start_time": since.isoformat()}
        while (stored := await self._get(stream, {"next_by_subj": subject, **position})) is not None:
            if found:
                found[-1] = replace(found[-1], pending=1)
            if len(found) == limit:
                break
            found.append(stored)
            position = {"seq": stored.sequence + 1}
        return found

    async def at(self, stream: str, sequence: int) -> Stored | None:
        return await self._get(stream, {"seq": sequence})

    async def count(self, stream: str, subject: str) -> int:
        return sum((await self.subjects(stream, subject)).values())

    async def subjects(self, stream: str, subject: str) -> dict[str, int]:
        """The subjects that match a pattern, each with its number of messages."""
        found: dict[str, int] = {}
        while True:
            request = {"subjects_filter": subject, "offset": len(found)}
            part = (await self.info(stream, request))["state"].get("subjects") or {}
            found |= part
            if len(part) < SUBJECTS_PER_REPLY:
                return found

    async def info(self, stream: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The stream's own information."""
        return await self._api.told(f"STREAM.INFO.{stream}", stream, request)

    async def _get(self, stream: str, request: Mapping[str, Any]) -> Stored | None:
        reply = await self._api.ask(f"STREAM.MSG.GET.{stream}", stream, request)
        if (error := reply.get("error")) is None:
            return _stored(reply["message"])
        if error.get("err_code") == _ERR_NO_MESSAGE:
            return None
        raise refused(stream, error)


def _stored(message: Mapping[str, Any]) -> Stored:
    headers = HeaderedClient.headers_of(base64.b64decode(message.get("hdrs", "")))
    return Stored(
        subject=message["subject"],
        sequence=message["seq"],
        headers={**headers, "Nats-Time-Stamp": message["time"]},
        data=base64.b64decode(message.get("data", "")),
    )
