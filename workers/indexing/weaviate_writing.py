"""Writes rows to a tenant's shard, and says of each that was refused which one it was and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from weaviate.classes.data import DataObject
from weaviate.exceptions import WeaviateInsertManyAllFailedError

from contracts.errors import PermanentError
from workers.indexing.base import Row
from workers.indexing.weaviate_connection import Connection
from workers.indexing.weaviate_errors import refused_object
from workers.indexing.weaviate_records import Properties, to_object
from workers.indexing.weaviate_tenants import shard_name

if TYPE_CHECKING:
    from weaviate.collections.data import _DataCollectionAsync

    Data = _DataCollectionAsync[Properties]

BATCH_ROWS = 100
"""Rows in one call: larger ones are hardly faster."""
BATCH_BYTES = 16 * 1024 * 1024
"""About so much in one call, far from what a server takes (100 MB). Rows of many sentences and a large encoder are megabytes."""

_REASONS = "set of all errors: "


class Writer:
    """Creates tenants when their first row comes, and writes in bounded batches, one after another.

    `last_tenant` is the one that was last written to, or was meant to be.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.last_tenant: str | None = None

    async def write(self, tenant: str, rows: Sequence[Row]) -> None:
        """Store all rows, or raise for the first that was refused; the others of its batch are stored then."""
        await self._ensure(tenant)
        self.last_tenant = tenant
        for batch in _batches(rows):
            await self._write(tenant, batch)

    async def _ensure(self, tenant: str) -> None:
        """Looked up every time: a server makes a collection that was removed of what is written to it, of the wrong kind."""
        tenants, name = self._connection.collection().tenants, shard_name(tenant)
        if name not in await self._connection.ask(lambda: tenants.get_by_names([name])):
            await self._connection.ask(lambda: tenants.create([name]), writes=True)

    async def _write(self, tenant: str, rows: Sequence[Row]) -> None:
        data = self._connection.collection(shard_name(tenant)).data
        objects = [to_object(row) for row in rows]
        refused = await self._connection.ask(lambda: _insert(data, objects), writes=True)
        if refused:
            raise self._refusal(rows, refused)

    def _refusal(self, rows: Sequence[Row], reasons: dict[int, str]) -> Exception:
        """The error to raise: one that passes comes before one that does not, since then all is tried again."""
        errors = [
            refused_object(reason, _named(rows[at], len(reasons)), url=self._connection.address.url)
            for at, reason in sorted(reasons.items())
        ]
        return next((error for error in errors if not isinstance(error, PermanentError)), errors[0])


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    batch, size = list[Row](), 0
    for row in rows:
        if batch and (len(batch) == BATCH_ROWS or size + _size_bytes(row) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += _size_bytes(row)
    if batch:
        yield batch


def _size_bytes(row: Row) -> int:
    """About what a row is on its way: its text comes a second time as terms, its sentence vectors as bytes in base64."""
    return 4 * row.embedding.vector.size + 4 * row.embedding.sentences.size // 3 + 4 * len(row.text.encode())


async def _insert(data: Data, objects: Sequence[DataObject[Properties, None]]) -> dict[int, str]:
    """The reason for each object that was refused, by its place."""
    try:
        returned = await data.insert_many(objects)
    except WeaviateInsertManyAllFailedError as error:
        reasons = error.message.partition(_REASONS)[2].splitlines() or [error.message]
        if len(reasons) > 1 and len(objects) > 1:  # whose they are is not said: it is when they come alone
            alone = [await _insert(data, [each]) for each in objects]
            return {at: refused[0] for at, refused in enumerate(alone) if refused}
        return dict.fromkeys(range(len(objects)), " ".join(reasons))
    return {at: error.message for at, error in returned.errors.items()}


def _named(row: Row, refused: int) -> str:
    others = f" (one of {refused} chunks)" if refused > 1 else ""
    return f"chunk {row.chunk_id} of document {row.document_id}{others}"
