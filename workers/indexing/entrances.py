"""One index that can be reached at two addresses, of which one is used at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import PermanentError, TransientError
from contracts.queries import Filters
from contracts.runtime_config import EndpointClass
from workers.encoding.base import PassageEmbedding, Vector
from workers.indexing.base import Candidate, Row, VectorIndex, Visible

NOBODY = "none"
NO_MARK = ""
"""No place has it: what is not known to be the same is not used."""


class WrongEntranceError(TransientError):
    """What is at the other address cannot be used: work waits until the settings are mended, or the first one is used again."""


class MarkedSite(Protocol):
    """The place behind an address."""

    must_be: str | None
    """The mark of the only place that the address may lead to, where nothing is made then; None: any, or a new one."""

    async def mark(self) -> str | None:
        """What no other place has; None: it has none."""
        ...


@dataclass(kw_only=True)
class Entrance:
    """One of the two addresses: the place that it leads to, and the index there."""

    site: MarkedSite
    index: VectorIndex
    is_open: bool = False


class TwoEntrances:
    """A `VectorIndex` that is used at one of two addresses of the same place, and at the other one as soon as it is told so.

    Calls that have begun end where they began. An address is first opened when it is needed, and only used if it leads to the
    same place as the other one: an empty index would answer, too. `mark` is that of the place, as far as it is known; whoever
    opens the primary address first in a process takes what is there, or makes it.
    """

    def __init__(self, primary: Entrance, standby: Entrance, *, mark: str | None = None) -> None:
        self._entrances = {EndpointClass.PRIMARY: primary, EndpointClass.STANDBY: standby}
        self._active = EndpointClass.PRIMARY
        self._known = mark
        self._trusted: str | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    @property
    def active(self) -> EndpointClass:
        return self._active

    @property
    def mark(self) -> str | None:
        """Of the place that was opened; None: none was, or it has none."""
        return self._trusted

    def use(self, active: EndpointClass) -> None:
        """From the next call on."""
        self._active = active

    async def open(self) -> None:
        """Raises `PermanentError` when the primary address is used and what is there cannot be, else `TransientError`."""
        if self._active is EndpointClass.PRIMARY:
            await self._open(self._entrances[self._active])
        else:
            await self._index()

    async def look_beside(self) -> None:
        """Raises `TransientError` unless the address that is not used could be used now."""
        (other,) = (entrance for name, entrance in self._entrances.items() if name is not self._active)
        index = await self._opened(other)
        await index.count_generation("default", NOBODY, NOBODY)

    async def upsert(self, rows: Sequence[Row]) -> None:
        await (await self._index()).upsert(rows)

    async def delete_generation(self, tenant: str, document_id: str, generation: str) -> int:
        return await (await self._index()).delete_generation(tenant, document_id, generation)

    async def count_generation(self, tenant: str, document_id: str, generation: str) -> int:
        return await (await self._index()).count_generation(tenant, document_id, generation)

    async def census(self) -> dict[tuple[str, str, str], int]:
        return await (await self._index()).census()

    async def rows(self, tenant: str, document_id: str, generation: str) -> AsyncIterator[Row]:
        index = await self._index()
        async for row in index.rows(tenant, document_id, generation):
            yield row

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        return await (await self._index()).embeddings(tenant, document_id, digests)

    async def search(
        self,
        tenant: str,
        *,
        text: str | None,
        vector: Vector | None,
        limit: int,
        filters: Filters,
        visible: Visible | None = None,
    ) -> list[Candidate]:
        index = await self._index()
        return await index.search(tenant, text=text, vector=vector, limit=limit, filters=filters, visible=visible)

    async def optimize(self) -> None:
        await (await self._index()).optimize()

    async def close(self) -> None:
        async with self._opening:
            self._closed = True
            for entrance in self._entrances.values():
                if entrance.is_open:
                    entrance.is_open = False
                    await entrance.index.close()

    async def _index(self) -> VectorIndex:
        return await self._opened(self._entrances[self._active])

    async def _opened(self, entrance: Entrance) -> VectorIndex:
        """Work must not be given up because a standby is set up wrong, so that is not for ever."""
        if not entrance.is_open:
            try:
                await self._open(entrance)
            except PermanentError as error:
                raise WrongEntranceError(str(error)) from error
        return entrance.index

    async def _open(self, entrance: Entrance) -> None:
        async with self._opening:
            if self._closed:
                raise WrongEntranceError("the index is closed: this process ends")
            if entrance.is_open:
                return
            is_first = self._trusted is None and entrance is self._entrances[EndpointClass.PRIMARY]
            entrance.site.must_be = None if is_first else self._trusted or self._known or NO_MARK
            await entrance.index.open()
            try:
                self._trusted = await entrance.site.mark()
            except BaseException:
                await entrance.index.close()
                raise
            entrance.is_open = True
