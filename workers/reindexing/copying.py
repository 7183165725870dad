"""Copies the rows that one index lacks from another, while workers go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from contracts.errors import TransientError
from messaging.broker import Broker
from messaging.census import Census, GenerationKey
from messaging.generations import READ_ON
from messaging.ledger import DocumentLedger
from messaging.records import with_records
from workers.indexing.base import Row, VectorIndex
from workers.reindexing.progress import Advance, Step, unseen
from workers.reindexing.standing import Known, is_over, planned

T = TypeVar("T")

GROUP_ROWS = 1_000
"""Rows that are read, encoded and written together."""
READS_AT_ONCE = 8
TRIES = 6
FIRST_PAUSE_S = 0.2

Encode = Callable[[Sequence[Row]], Awaitable[list[Row]]]
"""Rows with the embeddings of another encoder."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What one pass did. `short`: generations of which fewer rows were read than there are; the next pass looks at them again."""

    rows: int = 0
    generations: int = 0
    removed: int = 0
    short: int = 0

    @property
    def all_done(self) -> bool:
        """Whether a pass found nothing to do any more."""
        return not self.rows and not self.short

    def __add__(self, other: Copied) -> Copied:
        return Copied(
            rows=self.rows + other.rows,
            generations=self.generations + other.generations,
            removed=self.removed + other.removed,
            short=self.short + other.short,
        )


class Copier:
    """Brings one index up to another, as far as the ledger does not say that rows are over.

    Rows of documents without a record are copied, too: it may be the record that is lost. Every row is written before
    the ledger is asked once more, and removed again if it became over meanwhile: a purge that passed by between
    reading and writing leaves no ghost, and one that comes later finds the rows.
    """

    def __init__(
        self,
        broker: Broker,
        source: VectorIndex,
        target: VectorIndex,
        *,
        encode: Encode | None = None,
        advance: Advance = unseen,
        kept: timedelta = READ_ON,
    ) -> None:
        self._broker = broker
        self._ledger = DocumentLedger(broker)
        self._source = source
        self._target = target
        self._encode = encode
        self._advance = advance
        self._kept = kept
        self._copied: dict[GenerationKey, int] = {}
        self._short = set[GenerationKey]()

    async def copy(self, *, what: str = "rows", thorough: bool = False) -> Copied:
        """Copy every generation of which the target has fewer rows, and remove from it what is over.

        `thorough` also copies those that are incomplete in the target whatever the source has: each index may have
        been given another part of them. What was copied before is copied again only when the source has another number
        of rows: where it holds some of them twice the target always has fewer. One of which fewer rows were read than
        there are is copied again, once.
        """
        there, here = await self._source.census(), await self._target.census()
        lacking = await self._lacking(there, here, thorough=thorough)
        rows, short, total = 0, 0, sum(there[key] for key in lacking)
        for group in _groups(lacking, there):
            read = await self._copy(group)
            short += self._note(read, there)
            rows += read.total()
            self._advance(Step(what=what, done=rows, total=total))
        removed = await self._sweep(list(here))
        return Copied(rows=rows, generations=len(lacking), removed=removed, short=short)

    async def _lacking(self, there: Census, here: Census, *, thorough: bool) -> list[GenerationKey]:
        found = list[GenerationKey]()
        async for key, record in with_records(self._ledger, list(there), lambda key: key[:2]):
            has, wanted = here.get(key, 0), planned(record, key[2])
            part = thorough and wanted is not None and has < wanted
            news = self._copied.get(key) != there[key]
            if (has < there[key] or part) and news and not self._is_over(record, key):
                found.append(key)
        return found

    async def _copy(self, group: Sequence[GenerationKey]) -> Counter[GenerationKey]:
        """How many rows of each were there to copy."""
        copied = Counter[GenerationKey]()
        if len(group) == 1:  # it may be larger than memory
            async for page in _pages(self._source.rows(*group[0])):
                copied[group[0]] += await self._write(page)
        else:
            read = [rows for part in _parts(group) for rows in await asyncio.gather(*map(self._read, part))]
            await self._write([row for rows in read for row in rows])
            copied.update({key: len(rows) for key, rows in zip(group, read, strict=True)})
        await self._sweep(group)
        return copied

    def _note(self, read: Counter[GenerationKey], there: Census) -> int:
        """Remember what was copied; returns how many are to be copied again."""
        short = {key for key in read if read[key] < there[key]} - self._short
        self._short |= short
        self._copied |= {key: there[key] for key in read if key not in short}
        return len(short)

    async def _read(self, key: GenerationKey) -> list[Row]:
        return [row async for row in self._source.rows(*key)]

    async def _write(self, rows: list[Row]) -> int:
        if rows:
            encoded = rows if self._encode is None else await self._encode(rows)
            await _insisting(lambda: self._target.upsert(encoded))
        return len(rows)

    async def _sweep(self, keys: Sequence[GenerationKey]) -> int:
        """Remove from the target what is over by now."""
        removed = 0
        async for key, record in with_records(self._ledger, keys, lambda key: key[:2]):
            if self._is_over(record, key):
                removed += await self._remove(key)
        return removed

    async def _remove(self, key: GenerationKey) -> int:
        return await _insisting(lambda: self._target.delete_generation(*key))

    def _is_over(self, record: Known, key: GenerationKey) -> bool:
        return is_over(record, key[2], now=self._broker.clock.now(), kept=self._kept)


def _groups(keys: Sequence[GenerationKey], rows: Census) -> Iterator[list[GenerationKey]]:
    """Generations of at most `GROUP_ROWS` rows together; a larger one is alone."""
    group, size = list[GenerationKey](), 0
    for key in keys:
        if group and size + rows[key] > GROUP_ROWS:
            yield group
            group, size = [], 0
        group.append(key)
        size += rows[key]
    if group:
        yield group


def _parts(group: Sequence[GenerationKey]) -> Iterator[Sequence[GenerationKey]]:
    return (group[start : start + READS_AT_ONCE] for start in range(0, len(group), READS_AT_ONCE))


async def _pages(rows: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    page = list[Row]()
    async for row in rows:
        page.append(row)
        if len(page) == GROUP_ROWS:
            yield page
            page = []
    yield page


async def _insisting(call: Callable[[], Awaitable[T]]) -> T:
    """The result of a call that other writers may make fail. Raises its last error when it goes on to."""
    for attempt in range(TRIES - 1):
        try:
            return await call()
        except TransientError:
            await asyncio.sleep(FIRST_PAUSE_S * 2**attempt)
    return await call()
