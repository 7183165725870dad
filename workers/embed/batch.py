"""The story of one gathered batch: judge, encode, write, judge again, finish."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from contracts.documents import EmbedRequest
from messaging.gathering import BatchItem
from messaging.ledger import DocumentKey
from workers.embed.embedding import Embedding, Work
from workers.embed.progress import Progress, Standing, standing

Item = BatchItem[EmbedRequest]


class Batches:
    """Handles the messages of one pull together; each ends on its own."""

    def __init__(self, embedding: Embedding, progress: Progress, *, on_change: Callable[[], None]) -> None:
        self._embedding = embedding
        self._progress = progress
        self._on_change = on_change

    async def handle(self, items: Sequence[Item]) -> None:
        """Index what is current. Raises what the index or the broker raises: then all unsettled items are repeated."""
        current = await self._current(items)
        await self._embedding.embed([work for _, work in current])
        self._on_change()
        done = [item for item, work in current if not _failed(item, work)]
        await self._settle(done)

    async def _current(self, items: Sequence[Item]) -> list[tuple[Item, Work]]:
        """The items to be encoded; the others are settled here."""
        records = await self._progress.records(item.message for item in items)
        works: list[tuple[Item, Work]] = []
        for item in items:
            record = records.get(_key(item.message))
            try:
                if standing(item.message, record) is Standing.CURRENT and record is not None:
                    works.append((item, Work(request=item.message, has_earlier=len(record.generations) > 1)))
                else:
                    await self._progress.settle(item.message, record, written=False)
                    item.done()
            except Exception as error:  # noqa: BLE001  # the error's class decides about this item alone
                item.fail(error)
        return works

    async def _settle(self, items: Sequence[Item]) -> None:
        """Look again after the rows were written: what became void meanwhile takes its rows with it.

        Batches of one document go one after another, so that only the last of them finds the count complete.
        """
        records = await self._progress.records(item.message for item in items)
        by_document: dict[DocumentKey, list[Item]] = defaultdict(list)
        for item in items:
            by_document[_key(item.message)].append(item)

        async def settle(key: DocumentKey) -> None:
            for item in by_document[key]:
                try:
                    await self._progress.settle(item.message, records.get(key), written=True)
                    item.done()
                except Exception as error:  # noqa: BLE001  # the error's class decides about this item alone
                    item.fail(error)

        await asyncio.gather(*(settle(key) for key in by_document))


def _key(request: EmbedRequest) -> DocumentKey:
    return request.tenant, request.document_id


def _failed(item: Item, work: Work) -> bool:
    if work.error is not None:
        item.fail(work.error)
    return work.error is not None
