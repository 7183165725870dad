"""Core NATS notices that the gateway listens to: one subscription each, however many requests wait for them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

import structlog

from contracts import subjects
from contracts.errors import WaggleError
from contracts.events import DocumentEvent
from messaging.broker import Broker

log = structlog.get_logger(__name__)

_BACKLOG = 64
Key = tuple[str, str]


class Notice(Protocol):
    """A message as the broker's client hands it over."""

    @property
    def subject(self) -> str: ...

    @property
    def data(self) -> bytes: ...


class DocumentFacts:
    """Life-cycle events of documents, live, for those who watch one. A lost event is made up for by their polling."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._watching: defaultdict[Key, set[asyncio.Queue[DocumentEvent]]] = defaultdict(set)

    async def start(self) -> None:
        await self._broker.nc.subscribe(f"{subjects.EVENTS}.document.*.*", cb=self._on_notice)

    @contextmanager
    def watching(self, tenant: str, document_id: str) -> Iterator[asyncio.Queue[DocumentEvent]]:
        """A queue of the document's events from now on."""
        queue: asyncio.Queue[DocumentEvent] = asyncio.Queue(_BACKLOG)
        self._watching[tenant, document_id].add(queue)
        try:
            yield queue
        finally:
            self._watching[tenant, document_id].discard(queue)
            if not self._watching[tenant, document_id]:
                del self._watching[tenant, document_id]

    async def _on_notice(self, notice: Notice) -> None:
        if not self._watching:
            return
        try:
            event = DocumentEvent.from_bytes(notice.data)
        except WaggleError as error:
            log.warning("an event was not read", reason=str(error))
            return
        for queue in self._watching.get((event.tenant, event.document_id), ()):
            if not queue.full():
                queue.put_nowait(event)


class Abandoned:
    """Queries whose reader left: cancelled after a grace, unless somebody reads on, on this gateway or another."""

    def __init__(self, broker: Broker, *, grace_s: float) -> None:
        self._broker = broker
        self._grace_s = grace_s
        self._rejoined: dict[Key, asyncio.Event] = {}

    async def start(self) -> None:
        await self._broker.nc.subscribe(f"{subjects.RESUME}.*.*", cb=self._on_notice)

    async def stays_alone(self, tenant: str, query_id: str) -> bool:
        """Wait for the grace; False as soon as somebody reads the answer on."""
        rejoined = self._rejoined.setdefault((tenant, query_id), asyncio.Event())
        try:
            async with asyncio.timeout(self._grace_s):
                await rejoined.wait()
        except TimeoutError:
            return True
        finally:
            self._rejoined.pop((tenant, query_id), None)
        return False

    @asynccontextmanager
    async def rejoined(self, tenant: str, query_id: str) -> AsyncIterator[None]:
        """Tell all gateways, again and again, that the answer is read on here: one may notice late that it is alone."""
        telling = asyncio.create_task(self._tell(tenant, query_id))
        try:
            yield
        finally:
            telling.cancel()

    async def _tell(self, tenant: str, query_id: str) -> None:
        while True:
            if self._broker.is_connected:
                await self._broker.nc.publish(subjects.resume(tenant, query_id))
            await asyncio.sleep(self._grace_s / 4)

    async def _on_notice(self, notice: Notice) -> None:
        tenant, query_id = notice.subject.split(".")[-2:]
        if (rejoined := self._rejoined.get((tenant, query_id))) is not None:
            rejoined.set()
