"""Requests that are carried out once, however often they come and whichever process takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from contracts import topology
from contracts.errors import PermanentError, TransientError, WaggleError
from contracts.idempotency import IdempotentRequest
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry, StaleRevisionError

TELL_S: Final = 10.0
"""How often whoever carries out a request says that it is at it."""
SILENT: Final = timedelta(seconds=3 * TELL_S)
"""Whoever has said nothing for so long is dead, and another one may carry the request out."""

log = structlog.get_logger(__name__)


class RequestDiffersError(PermanentError):
    """The key was used for another request before."""


class RequestUnderWayError(PermanentError):
    """The same request is being carried out right now."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The right to carry a request out. Not `is_first`: whoever had it before fell silent, and may have done it."""

    record: IdempotentRequest
    revision: int
    is_first: bool = True


class IdempotentRequests:
    """The bucket `requests`, which remembers for a day. Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker, *, tell_s: float = TELL_S) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.REQUESTS)
        self._tell_s = tell_s
        self._silent = timedelta(seconds=3 * tell_s)

    async def begin(self, id: str, fingerprint: str | None, *, principal: str) -> Attempt | IdempotentRequest:
        """The right to carry a request out, or what came of it when that was done.

        Raises `RequestDiffersError`, and `RequestUnderWayError` while another one is at it.
        """
        entry = await self._bucket.get(id)
        known = _read(entry)
        if known is not None and None not in {fingerprint, known.fingerprint} and known.fingerprint != fingerprint:
            raise RequestDiffersError("this idempotency key was used for another request")
        now = self._broker.clock.now()
        if known is not None and (known.status is not None or known.told_at > now - self._silent):
            if known.status is None:
                raise RequestUnderWayError("the same request is under way")
            return known
        record = IdempotentRequest(id=id, fingerprint=fingerprint, told_at=now, principal=principal)
        try:
            revision = await self._bucket.write(id, record.to_bytes(), revision=entry.revision if entry else 0)
        except StaleRevisionError:
            raise RequestUnderWayError("the same request has just come") from None
        return Attempt(record=record, revision=revision, is_first=known is None)

    async def claim(self, id: str, fingerprint: str, *, principal: str) -> bool:
        """Reserve a key for a request whose answer is kept elsewhere; True for the first who does. Raises
        `RequestDiffersError`.
        """
        record = IdempotentRequest(
            id=id, fingerprint=fingerprint, told_at=self._broker.clock.now(), principal=principal
        )
        try:
            await self._bucket.write(id, record.to_bytes(), revision=0)
        except StaleRevisionError:
            known = _read(await self._bucket.get(id))
            if known is not None and known.fingerprint != fingerprint:
                raise RequestDiffersError("this idempotency key was used for another request") from None
            return False
        return True

    @asynccontextmanager
    async def held(self, attempt: Attempt) -> AsyncIterator[Holding]:
        """Say again and again that somebody is at it, for as long as the body lasts."""
        holding = Holding(self._bucket, self._broker, attempt)
        telling = asyncio.create_task(holding.tell_every(self._tell_s))
        try:
            yield holding
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


class Holding:
    """A request that is carried out here."""

    def __init__(self, bucket: Bucket, broker: Broker, attempt: Attempt) -> None:
        self._bucket = bucket
        self._broker = broker
        self._attempt = attempt
        self._writing = asyncio.Lock()

    async def tell_every(self, seconds: float) -> None:
        """Until cancelled. Not to be heard for a while is no error: the effect of a repetition is the same."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self._write({"told_at": self._broker.clock.now()})
            except WaggleError as error:
                log.warning("a request under way is not told of", request=self._attempt.record.id, reason=str(error))

    async def finish(self, *, status: int, body: str, fingerprint: str | None = None) -> None:
        """Remember the answer. What cannot be remembered is answered all the same, and may be done again when repeated."""
        said = {} if fingerprint is None else {"fingerprint": fingerprint}
        try:
            await self._write({"status": status, "body": body, **said})
        except WaggleError as error:
            log.warning("an answer is not remembered", request=self._attempt.record.id, reason=str(error))

    async def release(self) -> None:
        """Nothing was done: the key is free. Where the broker is away it is so once this process has been silent for long."""
        async with self._writing:
            try:
                await self._bucket.storage.purge(
                    self._bucket.stream, self._bucket.subject(self._attempt.record.id), up_to=self._attempt.revision
                )
            except TransientError as error:
                log.warning("an idempotency key stays taken", request=self._attempt.record.id, reason=str(error))

    async def _write(self, changes: dict[str, object]) -> None:
        async with self._writing:
            record = self._attempt.record.model_copy(update=changes)
            revision = await self._bucket.write(record.id, record.to_bytes(), revision=self._attempt.revision)
            self._attempt = replace(self._attempt, record=record, revision=revision)


def _read(entry: Entry | None) -> IdempotentRequest | None:
    if entry is None or entry.value is None:
        return None
    return IdempotentRequest.from_bytes(entry.value)
