"""The embedded index: one LanceDB table on the local disk, shared by all processes of a host."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
import structlog
from lancedb.index import FTS, Bitmap, BTree, IvfFlat, LabelList
from lancedb.query import MatchQuery

from contracts.queries import Filters
from workers.encoding.base import EncoderIdentity, PassageEmbedding, Vector
from workers.indexing import conditions
from workers.indexing.base import Candidate, Row, Visible
from workers.indexing.identity import encoder_of, recorded, require_same
from workers.indexing.lance_errors import ConflictError, on_disk
from workers.indexing.lance_locks import locked, try_lock
from workers.indexing.records import (
    CANDIDATE_COLUMNS,
    EMBEDDING_COLUMNS,
    ROW_COLUMNS,
    Record,
    merged,
    to_embedding,
    to_record,
    to_row,
)
from workers.text.questions import keyword_query

TABLE = "chunks"
FORMAT = "2"
"""Raised when the columns, the terms or the tags change so that old rows would not be found."""
KEPT_VERSIONS = timedelta(minutes=10)
"""How long replaced files are kept for readers that still hold them; longer than any search takes."""
OPTIMIZE_ATTEMPTS = 3
PAGE_ROWS = 500
"""Rows that are in memory at once where all of a generation are read."""
VECTORS_WORTH_AN_INDEX = 1_000
"""From here on vectors are kept in one compact place, which is three times as fast to search and as exact."""
INDEX_CACHE_BYTES = 512 * 1024 * 1024
METADATA_CACHE_BYTES = 128 * 1024 * 1024
"""What a process may keep of the index in memory; the engine's own bounds are several GiB."""
RENEWED_AFTER_S = 120.0
"""The engine keeps files open for every state of an index that it has read, within those bounds thousands. They are let
go of when the table is opened anew."""

_GENERATION = ("tenant", "document_id", "generation")

log = structlog.get_logger(__name__)

_WORDS = FTS(
    base_tokenizer="whitespace",
    stem=False,
    remove_stop_words=False,
    lower_case=False,
    ascii_folding=False,
    max_token_length=None,
)
_INDICES: dict[str, Any] = {
    "terms": _WORDS,
    "document_id": BTree(),
    "tenant": Bitmap(),
    "tags": LabelList(),
}


class LanceIndex:
    """A `VectorIndex` in a folder. Any number of processes of one host may read and write it at once.

    Rows are visible to every process as soon as `upsert` returns: tables are read at their latest version, and what
    is not yet in an index is scanned. Vectors are compared one by one (exact) up to some 100,000 chunks; beyond that
    the engine looks only into the parts of the index (of about 8,000 vectors each) that lie nearest to the question.
    """

    def __init__(self, path: Path, identity: EncoderIdentity, *, name: str = TABLE, any_format: bool = False) -> None:
        """`any_format`: only to read rows, which earlier formats hold as well."""
        self._path = path
        self._identity = identity
        self._name = name
        self._any_format = any_format
        self._connection: lancedb.AsyncConnection | None = None
        self._table: lancedb.AsyncTable | None = None
        self._renewed_at = math.inf

    async def open(self) -> None:
        with on_disk(self._path):
            await asyncio.to_thread(self._path.mkdir, parents=True, exist_ok=True)
            async with locked(self._path / "open.lock"):
                self._connection = await self._connect()
                self._table = await self._open_table(self._connection)
                self._check_identity((await self._table.schema()).metadata or {})
                if not self._any_format:
                    await self._create_indices()
        self._renewed_at = time.monotonic()

    async def upsert(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        await self._renew()
        last = {row.chunk_id: row for row in rows}  # the engine refuses to merge one key twice
        data = pa.Table.from_pylist([to_record(row) for row in last.values()], schema=self._schema())
        with on_disk(self._path):
            merge = self._opened.merge_insert("chunk_id").when_matched_update_all().when_not_matched_insert_all()
            # With an index on the key, racing merges are not recognised as such and both insert; the scan is faster, too.
            await merge.use_index(False).execute(data)

    async def delete_generation(self, tenant: str, document_id: str, generation: str) -> int:
        await self._renew()
        with on_disk(self._path):
            result = await self._opened.delete(conditions.of_generation(tenant, document_id, generation))
        return int(result.num_deleted_rows)  # type: ignore[attr-defined]  # missing in the library's stub

    async def count_generation(self, tenant: str, document_id: str, generation: str) -> int:
        await self._renew()
        with on_disk(self._path):
            return int(await self._opened.count_rows(conditions.of_generation(tenant, document_id, generation)))

    async def census(self) -> dict[tuple[str, str, str], int]:
        await self._renew()
        counted: Counter[tuple[str, str, str]] = Counter()
        with on_disk(self._path):
            async for batch in await self._opened.query().select(list(_GENERATION)).to_batches():
                counted.update(zip(*(batch.column(name).to_pylist() for name in _GENERATION), strict=True))
        return dict(counted)

    async def rows(self, tenant: str, document_id: str, generation: str) -> AsyncIterator[Row]:
        await self._renew()
        where = conditions.of_generation(tenant, document_id, generation)
        with on_disk(self._path):
            found = await self._opened.query().where(where).select(ROW_COLUMNS).to_batches(max_batch_length=PAGE_ROWS)
            async for batch in found:
                for record in _records(pa.Table.from_batches([batch])):
                    yield to_row(record)

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        if not digests:
            return {}
        await self._renew()
        where = f"{conditions.of_document(tenant, document_id)} AND {conditions.one_of('text_digest', digests)}"
        with on_disk(self._path):
            found = await self._opened.query().where(where).select(EMBEDDING_COLUMNS).to_arrow()
        return {record["text_digest"]: to_embedding(record) for record in _records(found)}

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
        await self._renew()
        where = conditions.of_search(tenant, filters, visible)
        with on_disk(self._path):
            by_vector, by_keyword = await asyncio.gather(
                self._by_vector(vector, where, limit), self._by_keyword(text, where, limit)
            )
        return merged(by_vector, by_keyword, question=vector)

    async def optimize(self) -> None:
        """Fold new rows into the indices, merge small files, drop replaced ones. One process at a time does it."""
        await self._renew()
        with on_disk(self._path), try_lock(self._path / "optimize.lock") as ours:
            for _ in range(OPTIMIZE_ATTEMPTS if ours else 0):
                with contextlib.suppress(ConflictError), on_disk(self._path):
                    await self._opened.optimize(cleanup_older_than=KEPT_VERSIONS)
                    await self._index_vectors()
                    return

    async def close(self) -> None:
        if self._table is not None:
            self._table.close()  # type: ignore[no-untyped-call]  # the library's
        if self._connection is not None:
            self._connection.close()  # type: ignore[no-untyped-call]  # the library's

    async def _by_vector(self, vector: Vector | None, where: str, limit: int) -> list[Record]:
        if vector is None:
            return []
        query = self._opened.query().nearest_to(vector).column("vector").distance_type("dot").where(where)
        return _records(await query.select([*CANDIDATE_COLUMNS, "_distance"]).limit(limit).to_arrow())

    async def _by_keyword(self, text: str | None, where: str, limit: int) -> list[Record]:
        terms = keyword_query(text) if text else ""
        if not terms:
            return []
        match = MatchQuery(terms, "terms")  # type: ignore[call-arg]  # its defaults escape the type checker
        query = self._opened.query().nearest_to_text(match).where(where)
        return _records(await query.select([*CANDIDATE_COLUMNS, "_score"]).limit(limit).to_arrow())

    @property
    def _opened(self) -> lancedb.AsyncTable:
        if self._table is None:
            raise RuntimeError("the index is not open: await open() first")
        return self._table

    async def _renew(self) -> None:
        """Open the table anew when that is due. What is under way keeps the one it has, as do all when it fails."""
        if time.monotonic() - self._renewed_at < RENEWED_AFTER_S:
            return
        self._renewed_at = time.monotonic()  # one call does it, the others go on
        try:
            connection = await self._connect()
            self._connection, self._table = connection, await connection.open_table(self._name)
        except (RuntimeError, OSError, ValueError) as error:
            log.warning("the index could not be opened anew", path=str(self._path), reason=str(error))

    async def _connect(self) -> lancedb.AsyncConnection:
        return await lancedb.connect_async(
            str(self._path),
            read_consistency_interval=timedelta(0),
            session=lancedb.Session(INDEX_CACHE_BYTES, METADATA_CACHE_BYTES),
        )

    async def _open_table(self, connection: lancedb.AsyncConnection) -> lancedb.AsyncTable:
        if self._name in (await connection.list_tables()).tables:
            return await connection.open_table(self._name)
        return await connection.create_table(self._name, schema=self._schema())

    async def _create_indices(self) -> None:
        """Also on an empty table: without an index keyword search finds nothing, with one it scans what is new."""
        present = await self._indexed_columns()
        for column, config in _INDICES.items():
            if column not in present:
                await self._opened.create_index(column, config=config)

    async def _index_vectors(self) -> None:
        if "vector" not in await self._indexed_columns() and await self._opened.count_rows() >= VECTORS_WORTH_AN_INDEX:
            await self._opened.create_index("vector", config=IvfFlat(distance_type="dot"))

    async def _indexed_columns(self) -> set[str]:
        return {column for index in await self._opened.list_indices() for column in index.columns}

    def _schema(self) -> pa.Schema:
        text, number = pa.string(), pa.int32()
        # As an (unenforced) primary key it makes racing upserts of one chunk conflict and merge; without it both insert.
        key = pa.field("chunk_id", text, nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"})
        plain = dict.fromkeys(("tenant", "document_id", "generation", "name", "text", "terms", "text_digest"), text)
        more = {"ordinal": number, "start": number, "end": number, "page": number, "heading": text, "metadata": text}
        lists = {"tags": pa.list_(text), "sentences": pa.binary(), "sentence_vectors": pa.binary()}
        vector = pa.field("vector", pa.list_(pa.float32(), self._identity.dimension))
        fields = [pa.field(name, kind) for name, kind in (plain | more | lists).items()]
        return pa.schema([key, *fields, vector], metadata=self._recorded_identity())

    def _recorded_identity(self) -> dict[str, str]:
        return recorded(self._identity, format_=FORMAT)

    def _check_identity(self, metadata: dict[bytes, bytes]) -> None:
        found = {name.decode(): value.decode() for name, value in metadata.items()}
        if self._any_format and "encoder" in found and encoder_of(found) == self._identity:
            return
        require_same(
            found,
            self._recorded_identity(),
            index=f"the index in {self._path}",
            renewal="give a new folder as WAGGLE_INDEX_PATH and ingest again",
        )


def _records(table: pa.Table) -> list[Record]:
    """Rows as dicts; the vector stays a numpy array."""
    column = table.column("vector").combine_chunks()
    matrix = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    rows: list[dict[str, Any]] = table.drop_columns(["vector"]).to_pylist()
    return [{**row, "vector": vector} for row, vector in zip(rows, matrix, strict=True)]
