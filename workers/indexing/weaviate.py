"""The index as a server: one collection in Weaviate, a shard for each tenant, shared by any number of hosts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from weaviate.classes.query import Filter, MetadataQuery

from contracts.errors import PermanentError, TransientError
from contracts.queries import Filters
from contracts.weaviate_settings import WeaviateSettings
from workers.encoding.base import EncoderIdentity, PassageEmbedding, Vector
from workers.indexing import weaviate_conditions as conditions
from workers.indexing.base import Candidate, Row, Visible
from workers.indexing.records import Record, merged, to_row
from workers.indexing.weaviate_collection import Collection
from workers.indexing.weaviate_conditions import source
from workers.indexing.weaviate_connection import Connection
from workers.indexing.weaviate_errors import AnsweredError, DeniedError, TooLargeError
from workers.indexing.weaviate_records import (
    CANDIDATE_PROPERTIES,
    EMBEDDING_PROPERTIES,
    ROW_PROPERTIES,
    VECTOR,
    to_candidate_record,
    to_known_embedding,
)
from workers.indexing.weaviate_tenants import shard_name
from workers.indexing.weaviate_writing import Writer
from workers.text.questions import keyword_query

if TYPE_CHECKING:
    from weaviate.collections import CollectionAsync
    from weaviate.collections.classes.filters import FilterReturn

    Shard = CollectionAsync[dict[str, Any], None]

T = TypeVar("T")

PAGE_ROWS = 1_000
"""Rows that are read in one call where all are wanted."""

WHOLE_ROWS = 200
"""Rows with texts and vectors that are read in one call."""

MOST_ROWS = 10_000
"""A server refuses to return more, unless it is set otherwise."""
NO_CHUNK = UUID(int=0)

_GENERATION = ["tenant", "document_id", "generation"]


class WeaviateIndex:
    """A `VectorIndex` in a Weaviate server or cluster.

    Rows are visible to every process as soon as `upsert` returns. Up to 40,000 vectors that a search may return are
    compared one by one (exact); with more the engine follows its graph. The keyword side is exact.
    """

    def __init__(self, settings: WeaviateSettings, identity: EncoderIdentity, *, any_format: bool = False) -> None:
        """`any_format`: only to read rows, which earlier formats hold as well."""
        self._connection = Connection(settings)
        name = settings.weaviate_collection
        self._collection = Collection(self._connection, name, identity, any_format=any_format)
        self._writer = Writer(self._connection)

    async def open(self) -> None:
        try:
            await self._connection.open()
            await self._collection.open()
            await self._connection.check_grpc()
        except DeniedError as error:
            await self._connection.close()
            raise PermanentError(str(error)) from error
        except BaseException:
            await self._connection.close()
            raise

    async def upsert(self, rows: Sequence[Row]) -> None:
        last = {row.chunk_id: row for row in rows}
        by_tenant = sorted(last.values(), key=lambda row: row.tenant)
        for tenant, theirs in groupby(by_tenant, key=lambda row: row.tenant):
            try:
                await self._writer.write(tenant, list(theirs))
            except AnsweredError:
                await self._collection.require()
                raise

    async def delete_generation(self, tenant: str, document_id: str, generation: str) -> int:
        """In pages, since the server deletes no more than it may return at once (10,000 rows, by default)."""
        where = conditions.of_generation(document_id, generation)
        deleted, left = 0, True
        while left:
            gone = await self._in(tenant, partial(_delete, where=where), missing=0, writes=True)
            deleted += gone
            left = await self.count_generation(tenant, document_id, generation) > 0
            if left and not gone:
                raise TransientError(
                    f"Weaviate did not delete the rows of document {document_id}, generation {generation}: is it read-only, "
                    "is its disk full?"
                )
        if not deleted:
            await self._write_nothing()
        return deleted

    async def count_generation(self, tenant: str, document_id: str, generation: str) -> int:
        where = conditions.of_generation(document_id, generation)
        return await self._in(tenant, partial(_count, where=where), missing=0)

    async def census(self) -> dict[tuple[str, str, str], int]:
        counted: Counter[tuple[str, str, str]] = Counter()
        for name in await self._connection.ask(self._connection.collection().tenants.get):
            await self._count_all(self._connection.collection(name), counted)
        return dict(counted)

    async def rows(self, tenant: str, document_id: str, generation: str) -> AsyncIterator[Row]:
        """By their ids: pages of a condition would shift when a row is written again between two of them."""
        where = conditions.of_generation(document_id, generation)
        ids = await self._in(tenant, partial(_ids, where=where), missing=list[UUID]())
        if len(ids) < MOST_ROWS:
            async for row in self._of_ids(tenant, ids):
                yield row
            return
        async for row in self._many_rows(tenant, source(document_id, generation)):
            yield row

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        """Page by page for what is still unknown: a text may be there once for every generation."""
        known: dict[str, PassageEmbedding] = {}
        missing = list(dict.fromkeys(digests))
        while missing:
            read = partial(_embeddings, where=conditions.of_texts(document_id, missing))
            page = await self._in(tenant, read, missing=list[tuple[str, PassageEmbedding]]())
            known.update(page)
            missing = [digest for digest in missing if digest not in known] if len(page) == PAGE_ROWS else []
        return known

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
        if not conditions.can_match(filters):
            return []
        where, limit = conditions.of_search(tenant, filters, visible), min(limit, MOST_ROWS)
        by_vector, by_keyword = await asyncio.gather(
            self._by_vector(tenant, vector, where, limit), self._by_keyword(tenant, text, where, limit)
        )
        return merged(by_vector, by_keyword, question=vector)

    async def optimize(self) -> None:
        """The server keeps its structures in order by itself."""

    async def close(self) -> None:
        await self._connection.close()

    async def _by_vector(self, tenant: str, vector: Vector | None, where: FilterReturn, limit: int) -> list[Record]:
        if vector is None:
            return []

        async def search(shard: Shard) -> list[Record]:
            found = await shard.query.near_vector(
                vector.tolist(),
                target_vector=VECTOR,
                filters=where,
                limit=limit,
                include_vector=True,
                return_properties=CANDIDATE_PROPERTIES,
            )
            return [to_candidate_record(each) for each in found.objects]

        return await self._in(tenant, search, missing=list[Record]())

    async def _by_keyword(self, tenant: str, text: str | None, where: FilterReturn, limit: int) -> list[Record]:
        terms = keyword_query(text) if text else ""
        if not terms:
            return []

        async def search(shard: Shard) -> list[Record]:
            found = await shard.query.bm25(
                terms,
                query_properties=["terms"],
                filters=where,
                limit=limit,
                include_vector=True,
                return_metadata=MetadataQuery(score=True),
                return_properties=CANDIDATE_PROPERTIES,
            )
            return [to_candidate_record(each, score=each.metadata.score) for each in found.objects]

        return await self._in(tenant, search, missing=list[Record]())

    async def _many_rows(self, tenant: str, wanted: str) -> AsyncIterator[Row]:
        """More rows than a server returns by a condition: all ids of the shard are looked through."""
        shard, after = self._connection.collection(shard_name(tenant)), None
        while True:
            read = partial(shard.query.fetch_objects, limit=PAGE_ROWS, after=after, return_properties=["source"])
            objects = (await self._connection.ask(read)).objects
            if not objects:
                return
            after = objects[-1].uuid
            async for row in self._of_ids(
                tenant, [each.uuid for each in objects if each.properties["source"] == wanted]
            ):
                yield row

    async def _of_ids(self, tenant: str, ids: Sequence[UUID]) -> AsyncIterator[Row]:
        """Fewer at once where they are too large together."""
        start, size = 0, WHOLE_ROWS
        while start < len(ids):
            try:
                page = await self._in(tenant, partial(_rows, ids=ids[start : start + size]), missing=list[Row]())
            except TooLargeError:
                if size == 1:
                    raise
                size //= 2
            else:
                start += size
                for row in page:
                    yield row

    async def _count_all(self, shard: Shard, counted: Counter[tuple[str, str, str]]) -> None:
        """Read a shard's rows in the order of their ids, without vectors and texts."""
        after: UUID | None = None
        while True:
            read = partial(shard.query.fetch_objects, limit=PAGE_ROWS, after=after, return_properties=_GENERATION)
            rows = (await self._connection.ask(read)).objects
            if not rows:
                return
            counted.update(_generation(row.properties) for row in rows)
            after = rows[-1].uuid

    async def _write_nothing(self) -> None:
        """Raise when the shard that was last written to takes no writes: to delete no rows succeeds even then."""
        tenant = self._writer.last_tenant
        if tenant is not None:
            await self._in(tenant, lambda shard: shard.data.delete_by_id(NO_CHUNK), missing=False, writes=True)

    async def _in(self, tenant: str, call: Callable[[Shard], Awaitable[T]], *, missing: T, writes: bool = False) -> T:
        """What `call` returns for the tenant's shard; `missing` when the tenant has none, since it never had a row."""
        shard = self._connection.collection(shard_name(tenant))
        try:
            return await self._connection.ask(lambda: call(shard), writes=writes)
        except AnsweredError:
            await self._collection.require()
            tenants = self._connection.collection().tenants
            if await self._connection.ask(lambda: tenants.exists(shard_name(tenant))):
                raise
            return missing


async def _count(shard: Shard, where: FilterReturn) -> int:
    return (await shard.aggregate.over_all(filters=where, total_count=True)).total_count or 0


async def _delete(shard: Shard, where: FilterReturn) -> int:
    """How many rows of one page were deleted."""
    return (await shard.data.delete_many(where=where)).successful


async def _embeddings(shard: Shard, where: FilterReturn) -> list[tuple[str, PassageEmbedding]]:
    found = await shard.query.fetch_objects(
        filters=where, limit=PAGE_ROWS, include_vector=True, return_properties=EMBEDDING_PROPERTIES
    )
    return [to_known_embedding(each) for each in found.objects]


async def _ids(shard: Shard, where: FilterReturn) -> list[UUID]:
    found = await shard.query.fetch_objects(filters=where, limit=MOST_ROWS, return_properties=[])
    return [each.uuid for each in found.objects]


async def _rows(shard: Shard, ids: Sequence[UUID]) -> list[Row]:
    found = await shard.query.fetch_objects(
        filters=Filter.by_id().contains_any(list(ids)),
        limit=len(ids),
        include_vector=True,
        return_properties=ROW_PROPERTIES,
    )
    return [to_row(to_candidate_record(each)) for each in found.objects]


def _generation(properties: Mapping[str, Any]) -> tuple[str, str, str]:
    tenant, document_id, generation = (str(properties[name]) for name in _GENERATION)
    return tenant, document_id, generation
