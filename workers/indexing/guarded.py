"""An index behind a circuit breaker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from contracts.queries import Filters
from messaging.breaker import Breaker
from workers.encoding.base import PassageEmbedding, Vector
from workers.indexing.base import Candidate, Row, VectorIndex, Visible


class GuardedIndex:
    """A `VectorIndex` whose calls also raise `BackendAwayError` while the index is away.

    Census, upkeep and the reading of rows belong to no message and are passed on as they are.
    """

    def __init__(self, index: VectorIndex, breaker: Breaker) -> None:
        self._index = index
        self._breaker = breaker

    async def open(self) -> None:
        await self._index.open()

    async def upsert(self, rows: Sequence[Row]) -> None:
        async with self._breaker:
            await self._index.upsert(rows)

    async def delete_generation(self, tenant: str, document_id: str, generation: str) -> int:
        async with self._breaker:
            return await self._index.delete_generation(tenant, document_id, generation)

    async def count_generation(self, tenant: str, document_id: str, generation: str) -> int:
        async with self._breaker:
            return await self._index.count_generation(tenant, document_id, generation)

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        async with self._breaker:
            return await self._index.embeddings(tenant, document_id, digests)

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
        async with self._breaker:
            return await self._index.search(
                tenant, text=text, vector=vector, limit=limit, filters=filters, visible=visible
            )

    def rows(self, tenant: str, document_id: str, generation: str) -> AsyncIterator[Row]:
        return self._index.rows(tenant, document_id, generation)

    async def census(self) -> dict[tuple[str, str, str], int]:
        return await self._index.census()

    async def optimize(self) -> None:
        await self._index.optimize()

    async def close(self) -> None:
        await self._index.close()
