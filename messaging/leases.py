"""Leadership: of several processes that could do the same work, one does it at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from contracts import topology
from contracts.errors import TransientError
from contracts.identifiers import new_id
from messaging.broker import Broker
from messaging.buckets import Bucket, StaleRevisionError
from messaging.errors import BrokerUnavailableError

RENEWALS_PER_TTL = 3
MARGIN = 0.2
"""The holder stops this share of the lease's time before the broker would give it to another."""

log = structlog.get_logger(__name__)


class LeaseHeldError(TransientError):
    """Another process holds the lease."""


class LeaseLostError(TransientError):
    """The lease could not be renewed in time; what was done under it was cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease that is held. `revision` is that of its acquisition, whatever renewals follow: a later holder's is larger."""

    name: str
    revision: int


class Leases:
    """Leases by name, in the KV bucket `leases`, whose keys age out unless they are renewed.

    Time is measured by our own monotonic clock from before each renewal, so the holder always stops first. A lease saves
    work; what is done under it must bear being done twice all the same.
    """

    def __init__(self, broker: Broker, *, holder: str, bucket: topology.KeyValue = topology.LEASES) -> None:
        if bucket.ttl_s is None:
            raise ValueError(f"the bucket {bucket.name} has no time after which a lease ends")
        self._bucket = Bucket(broker, bucket)
        self._holder = f"{holder} ({new_id()})".encode()
        self._ttl_s = bucket.ttl_s

    @property
    def ttl_s(self) -> float:
        """After how long a lease ends that nobody renews."""
        return self._ttl_s

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[Lease]:
        """Hold a lease during the body, which is given what it holds.

        Raises `LeaseHeldError` when another has it, and `LeaseLostError` from the body, which is cancelled then, when it
        can no longer be renewed.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        revision = await self._acquire(name)
        limit = asyncio.timeout_at(asked_at + self._ttl_s * (1 - MARGIN))
        renewal = _Renewal(revision)
        renewing: asyncio.Task[None] | None = None
        try:
            async with limit:
                renewing = asyncio.create_task(self._renew(name, renewal, limit), name=f"lease {name}")
                yield Lease(name=name, revision=revision)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise LeaseLostError(f"the lease {name} was lost: another may do this work now") from error
        finally:
            if renewing is not None:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
            await self._release(name, renewal.revision)

    async def _acquire(self, name: str) -> int:
        entry = await self._bucket.get(name)
        if entry is not None:
            raise LeaseHeldError(f"{name} is led by {(entry.value or b'?').decode(errors='replace')}")
        try:
            return await self._bucket.write(name, self._holder, revision=0)
        except StaleRevisionError as error:
            raise LeaseHeldError(f"{name} was taken by another at the same moment") from error

    async def _renew(self, name: str, renewal: _Renewal, limit: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._ttl_s / RENEWALS_PER_TTL)
            asked_at = loop.time()
            try:
                renewal.revision = await self._bucket.write(name, self._holder, revision=renewal.revision)
            except StaleRevisionError:
                if not await self._is_ours(name, renewal):
                    limit.reschedule(loop.time())
                    return
            except TransientError as error:  # it may have been renewed or not: the time that is left decides
                log.warning("lease not renewed", lease=name, reason=str(error))
            else:
                limit.reschedule(asked_at + self._ttl_s * (1 - MARGIN))

    async def _is_ours(self, name: str, renewal: _Renewal) -> bool:
        """A renewal that was not acknowledged may have been stored."""
        try:
            entry = await self._bucket.get(name)
        except TransientError:
            return True  # not known: the time that is left decides
        if entry is None or entry.value != self._holder:
            return False
        renewal.revision = entry.revision
        return True

    async def _release(self, name: str, revision: int) -> None:
        """Let others have it at once. If that fails it ages out."""
        with suppress(BrokerUnavailableError):
            await self._bucket.storage.purge(self._bucket.stream, self._bucket.subject(name), up_to=revision)


class _Renewal:
    """The revision that the next renewal is written against."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
