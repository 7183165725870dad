"""How many documents, and how many bytes, a tenant may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from contracts.gateway_settings import GatewaySettings
from gateway import problems
from gateway.feed import DocumentFeed
from gateway.problems import Problem
from gateway.readmodel import ReadModel
from messaging.tenants import TenantRegister
from messaging.uploads import UploadTooLargeError


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
        self._entering: Counter[str] = Counter()

    @asynccontextmanager
    async def entering(self, tenant: str, document_id: str | None, *, at_most: int) -> AsyncIterator[int]:
        """Let one document in, of as many bytes as is said inside: `at_most`, or fewer where its tenant has no room for more.

        Raises a 403 problem where there is no room, and a 503 one while it is not known what there is.
        """
        terms = self._register.of(tenant)
        documents = self._settings.tenant_max_documents if terms.max_documents is None else terms.max_documents
        most_bytes = self._settings.tenant_max_bytes if terms.max_bytes is None else terms.max_bytes
        if documents is None and most_bytes is None:
            yield at_most
            return
        if not self._feed.caught_up.is_set():
            raise problems.unavailable("It is not known yet how many documents there are: nothing was accepted.")
        usage = (await self._readmodel.usage(tenant)).get(tenant)
        has, has_bytes = (usage.documents, usage.bytes) if usage else (0, 0)
        if (
            documents is not None
            and has + self._entering[tenant] >= documents
            and not await self._is_there(tenant, document_id)
        ):
            raise _exceeded(f"{documents} documents are what this tenant may have")
        room = at_most if most_bytes is None else min(at_most, most_bytes - has_bytes)
        if room < 1:
            raise _exceeded(_bytes(most_bytes))
        with self._counted(tenant):
            try:
                yield room
            except UploadTooLargeError:
                if room == at_most:
                    raise
                raise _exceeded(_bytes(most_bytes)) from None

    async def _is_there(self, tenant: str, document_id: str | None) -> bool:
        """Whether it is another version of what counts already."""
        return document_id is not None and await self._readmodel.has(tenant, document_id)

    @contextmanager
    def _counted(self, tenant: str) -> Iterator[None]:
        self._entering[tenant] += 1
        try:
            yield
        finally:
            self._entering[tenant] -= 1
            if not self._entering[tenant]:
                del self._entering[tenant]


def _bytes(most: int | None) -> str:
    return f"{most} bytes are what the documents of this tenant may have together"


def _exceeded(what: str) -> Problem:
    return problems.quota_exceeded(
        f"{what}, and there is no room: nothing was accepted. Delete some, or have it raised."
    )
