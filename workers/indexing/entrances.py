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


class WrongEntranceError(TransientError):
    """What is at the other address cannot be used: work waits until the settings are mended, or the first one is used again."""


class MarkedSite(Protocol):
    """The place behind an address."""

    must_be: str | None
    """The mark of the only place that the address may lead to."""

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
    same place as the other one: an empty index would answer, too.
    """

    def __init__(self, primary: Entrance, standby: Entrance, *, active: EndpointClass) -> None:
        self._entrances = {EndpointClass.PRIMARY: primary, EndpointClass.STANDBY: standby}
        self._active = active
        self._mark: str | None = None
        self._opening = asyncio.Lock()

    @property
    def active(self) -> EndpointClass:
        return self._active

    def use(self, active: EndpointClass) -> None:
        """From the next call on."""
        self._active = active

    async def open(self) -> None:
        """Raises what the index raises that is used at first."""
        await self._open(self._entrances[self._active])

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
            if entrance.is_open:
                return
            entrance.site.must_be = self._mark
            await entrance.index.open()
            entrance.is_open = True
            if self._mark is None:
                self._mark = await entrance.site.mark()
