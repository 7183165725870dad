"""How many documents, and how many bytes, a tenant may have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from contracts.gateway_settings import GatewaySettings
from gateway import problems
from gateway.feed import DocumentFeed
from gateway.problems import Problem
from gateway.readmodel import ReadModel
from messaging.tenants import TenantRegister
from messaging.uploads import UploadTooLargeError

SYNC_S: Final = 1.0


class Room(Protocol):
    """What there is for one document."""

    @property
    def max_bytes(self) -> int:
        """So many, if nothing else comes in meanwhile."""
        ...

    def within(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The content, for as long as it fits beside what comes in meanwhile; then raises a 403 problem."""
        ...


class Quotas:
    """Counts what is there and what is on its way here; what comes in at another gateway at the same moment is known a moment
    later.
    """

    def __init__(
        self, settings: GatewaySettings, register: TenantRegister, readmodel: ReadModel, feed: DocumentFeed
    ) -> None:
        self._settings = settings
        self._register = register
        self._readmodel = readmodel
        self._feed = feed
        self._entering: defaultdict[str, _Entering] = defaultdict(_Entering)

    @asynccontextmanager
    async def entering(self, tenant: str, document_id: str | None, *, at_most: int) -> AsyncIterator[Room]:
        """Let one document in, of `at_most` bytes, or fewer where its tenant has no room for more.

        Raises a 403 problem where there is no room, and a 503 one while it is not known what there is.
        """
        terms = self._register.of(tenant)
        documents = self._settings.tenant_max_documents if terms.max_documents is None else terms.max_documents
        most_bytes = self._settings.tenant_max_bytes if terms.max_bytes is None else terms.max_bytes
        if documents is None and most_bytes is None:
            yield _Unlimited(at_most)
            return
        if not self._feed.caught_up.is_set():
            raise problems.unavailable("It is not known yet how many documents there are: nothing was accepted.")
        usage = (await self._readmodel.usage(tenant)).get(tenant)
        has, has_bytes = (usage.documents, usage.bytes) if usage else (0, 0)
        if (
            documents is not None
            and has + self._coming(tenant).documents >= documents
            and not await self._is_there(tenant, document_id)
        ):
            raise _exceeded(f"{documents} documents are what this tenant may have")
        if most_bytes is not None and has_bytes + self._coming(tenant).came >= most_bytes:
            raise _exceeded(_bytes(most_bytes))
        with self._counted(tenant) as entering:
            if most_bytes is None:
                yield _Unlimited(at_most)
            else:
                with entering.room(at_most, most_bytes, has_bytes) as room:
                    yield room
            await self._feed.sync(SYNC_S)  # until it counts among what is there

    async def _is_there(self, tenant: str, document_id: str | None) -> bool:
        """Whether it is another version of what counts already."""
        return document_id is not None and await self._readmodel.has(tenant, document_id)

    def _coming(self, tenant: str) -> _Entering:
        return self._entering.get(tenant, _NOTHING)

    @contextmanager
    def _counted(self, tenant: str) -> Iterator[_Entering]:
        entering = self._entering[tenant]
        entering.documents += 1
        try:
            yield entering
        finally:
            entering.documents -= 1
            if not entering.documents:
                del self._entering[tenant]


@dataclass
class _Entering:
    """What of a tenant comes in right now: how many documents, how many bytes of them have come, and how many were accepted for as
    long as anything comes in.
    """

    documents: int = 0
    came: int = 0
    accepted: int = 0

    @contextmanager
    def room(self, at_most: int, most_bytes: int, has_bytes: int) -> Iterator[_Limited]:
        room = _Limited(self, min(at_most, most_bytes - has_bytes), most_bytes, has_bytes - self.accepted)
        try:
            yield room
        except UploadTooLargeError:
            if room.max_bytes == at_most:
                raise
            raise _exceeded(_bytes(most_bytes)) from None
        else:
            self.accepted += room.came
        finally:
            self.came -= room.came


_NOTHING = _Entering()


@dataclass(frozen=True)
class _Unlimited:
    max_bytes: int

    def within(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return content


@dataclass
class _Limited:
    entering: _Entering
    max_bytes: int
    most_bytes: int
    had_bytes: int
    """What was there when nothing was accepted yet."""
    came: int = 0

    async def within(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in content:
            self.came += len(piece)
            self.entering.came += len(piece)
            if self.had_bytes + self.entering.accepted + self.entering.came > self.most_bytes:
                raise _exceeded(_bytes(self.most_bytes))
            yield piece


def _bytes(most: int) -> str:
    return f"{most} bytes are what the documents of this tenant may have together"


def _exceeded(what: str) -> Problem:
    return problems.quota_exceeded(
        f"{what}, and there is no room: nothing was accepted. Delete some, or have it raised."
    )
