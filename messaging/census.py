"""Asking the index what it holds, and answering: only those who open the index can, and the keeper does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import count

import nats.errors
import structlog
from nats.aio.msg import Msg

from contracts import subjects
from contracts.census import PAGE, CensusPage, CensusRequest, GenerationRows
from contracts.errors import TransientError, WaggleError
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.live import Live, listening
from messaging.replies import Replies

PAGE_TIMEOUT_S = 60.0
"""How long the next page may take; before the first one the whole index is counted."""

GenerationKey = tuple[str, str, str]
"""Tenant, document id, generation."""
Census = Mapping[GenerationKey, int]
"""How many rows the index holds of each generation of which it holds any."""

_STATUS = "Status"

log = structlog.get_logger(__name__)


class CensusUnavailableError(TransientError):
    """Nobody told the whole census: no embed worker runs, or its index cannot be read."""


class CensusOffice:
    """Answers requests for a census, one at a time; of several workers the broker chooses one."""

    def __init__(self, broker: Broker, take: Callable[[], Awaitable[Census]], *, service: str) -> None:
        self._broker = broker
        self._take = take
        self._service = service

    async def run(self) -> None:
        """Answer until cancelled."""
        async with listening(self._broker, subjects.CENSUS, hear=self._answer, group=self._service):
            await asyncio.Event().wait()

    async def _answer(self, request: Live) -> None:
        if not request.reply:
            return
        try:
            CensusRequest.from_bytes(request.data)
            pages = list(_pages(await self._take()))
        except WaggleError as error:
            log.warning("no census", reason=str(error))
            pages = [CensusPage(page=0, last=True, generations=(), error=str(error))]
        try:
            for page in pages:
                await self._broker.nc.publish(request.reply, page.to_bytes())
        except nats.errors.Error as error:  # whoever asked asks again
            log.warning("census not told", reason=str(error))


class IndexCensus:
    """Asks for censuses."""

    def __init__(self, broker: Broker, *, page_timeout_s: float = PAGE_TIMEOUT_S) -> None:
        self._broker = broker
        self._replies = Replies(broker)
        self._page_timeout_s = page_timeout_s

    async def take(self) -> Census:
        """What the index holds at this time.

        Raises `CensusUnavailableError` when nobody answers or a page is missing, `BrokerUnavailableError` when the
        broker is away.
        """
        census: dict[GenerationKey, int] = {}
        try:
            with await self._replies.expected() as (inbox, replies):
                await self._broker.nc.publish(subjects.CENSUS, CensusRequest().to_bytes(), reply=inbox)
                for number in count():
                    async with asyncio.timeout(self._page_timeout_s):
                        page = _page(await replies.get(), number)
                    census |= {(g.tenant, g.document_id, g.generation): g.rows for g in page.generations}
                    if page.last:
                        break
        except TimeoutError as error:
            raise CensusUnavailableError(
                f"the census of the index was not told within {self._page_timeout_s:g} s"
            ) from error
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"the index cannot be asked: {error}") from error
        return census


def _page(message: Msg, number: int) -> CensusPage:
    if (message.headers or {}).get(_STATUS) == "503":
        raise CensusUnavailableError("no embed worker runs: what the index holds is not known")
    page = CensusPage.from_bytes(message.data)
    if page.error is not None:
        raise CensusUnavailableError(f"the index cannot be counted: {page.error}")
    if page.page != number:
        raise CensusUnavailableError(f"page {number} of the census of the index was lost")
    return page


def _pages(census: Census) -> Iterator[CensusPage]:
    entries = [
        GenerationRows(tenant=tenant, document_id=document_id, generation=generation, rows=rows)
        for (tenant, document_id, generation), rows in sorted(census.items())
    ]
    parts = [entries[start : start + PAGE] for start in range(0, len(entries), PAGE)] or [[]]
    for number, part in enumerate(parts):
        yield CensusPage(page=number, last=number == len(parts) - 1, generations=tuple(part))
