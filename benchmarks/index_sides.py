"""Both sides of the index benchmark: our adapter, and the engine's client as one would use it without us."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import lancedb as lance
import numpy as np
import pyarrow as pa
import weaviate as client_library
from lancedb.index import IvfFlat
from lancedb.query import MatchQuery
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, MetadataQuery

from contracts.settings import IndexSettings
from tests.support.weaviate_server import WeaviateServer, require_binary
from tests.support.weaviate_site import WeaviateSite, site_of
from workers.encoding.base import EncoderIdentity, Vector
from workers.indexing.base import Row, VectorIndex
from workers.indexing.factory import build_index
from workers.indexing.records import CANDIDATE_COLUMNS, to_record
from workers.text.questions import keyword_query

BLOBS = ("sentences", "sentence_vectors")
PROPERTIES = [name for name in CANDIDATE_COLUMNS if name not in {"chunk_id", "vector"}]


class RawIndex(Protocol):
    """An engine's client, doing what the adapter is asked to do."""

    async def upsert(self, rows: Sequence[Row]) -> None: ...

    async def search(self, tenant: str, *, text: str, vector: Vector, limit: int) -> dict[str, float]:
        """The cosine of every chunk that either side found."""
        ...

    async def optimize(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Each has a table of its own, of the same kind."""

    ours: VectorIndex
    raw: RawIndex


@asynccontextmanager
async def lancedb(identity: EncoderIdentity) -> AsyncIterator[Sides]:
    with TemporaryDirectory(prefix="waggle-bench-") as folder:
        ours, other = (build_index(IndexSettings(index_path=Path(folder) / name), identity) for name in ("ours", "raw"))
        await ours.open()
        await other.open()  # makes the table and its indices
        connection = await lance.connect_async(str(Path(folder) / "raw"), read_consistency_interval=timedelta(0))
        yield Sides(ours=ours, raw=RawLance(await connection.open_table("chunks")))
        await ours.close()
        await other.close()


@asynccontextmanager
async def weaviate(identity: EncoderIdentity) -> AsyncIterator[Sides]:
    with (
        TemporaryDirectory(prefix="waggle-bench-") as folder,
        WeaviateServer(Path(folder), require_binary()) as server,
    ):
        site = site_of(server)
        ours, other = (build_index(site.settings(name), identity) for name in ("WaggleOurs", "WaggleRaw"))
        await ours.open()
        await other.open()  # makes the collection
        async with _connected(site) as client:
            yield Sides(ours=ours, raw=RawWeaviate(client.collections.use("WaggleRaw")))
        await ours.close()
        await other.close()


class RawLance:
    """LanceDB's own client."""

    def __init__(self, table: lance.AsyncTable) -> None:
        self._table = table

    async def upsert(self, rows: Sequence[Row]) -> None:
        data = pa.Table.from_pylist([to_record(row) for row in rows], schema=await self._table.schema())
        merge = self._table.merge_insert("chunk_id").when_matched_update_all().when_not_matched_insert_all()
        await merge.use_index(False).execute(data)

    async def search(self, tenant: str, *, text: str, vector: Vector, limit: int) -> dict[str, float]:
        where = f"tenant = '{tenant}'"
        near = self._table.query().nearest_to(vector).column("vector").distance_type("dot").where(where)
        match = MatchQuery(keyword_query(text), "terms")  # type: ignore[call-arg]  # its defaults escape the type checker
        matching = self._table.query().nearest_to_text(match).where(where)
        found = await asyncio.gather(
            near.select([*CANDIDATE_COLUMNS, "_distance"]).limit(limit).to_list(),
            matching.select([*CANDIDATE_COLUMNS, "_score"]).limit(limit).to_list(),
        )
        return {row["chunk_id"]: float(np.dot(row["vector"], vector)) for rows in found for row in rows}

    async def optimize(self) -> None:
        await self._table.optimize()
        await self._table.create_index("vector", config=IvfFlat(distance_type="dot"))


class RawWeaviate:
    """Weaviate's own client."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._made = False

    async def upsert(self, rows: Sequence[Row]) -> None:
        if not self._made:
            await self._collection.tenants.create([rows[0].tenant])
            self._made = True
        await self._collection.with_tenant(rows[0].tenant).data.insert_many([_object(row) for row in rows])

    async def search(self, tenant: str, *, text: str, vector: Vector, limit: int) -> dict[str, float]:
        query = self._collection.with_tenant(tenant).query
        shared = {
            "filters": Filter.by_property("tenant").equal(tenant),
            "limit": limit,
            "include_vector": True,
            "return_properties": PROPERTIES,
        }
        found = await asyncio.gather(
            query.near_vector(vector.tolist(), **shared),
            query.bm25(
                keyword_query(text), query_properties=["terms"], return_metadata=MetadataQuery(score=True), **shared
            ),
        )
        objects = [each for returned in found for each in returned.objects]
        return {str(each.uuid): float(np.dot(each.vector["default"], vector)) for each in objects}

    async def optimize(self) -> None:
        """The server does it by itself."""


def _object(row: Row) -> DataObject[dict[str, Any], None]:
    properties = to_record(row) | {"source": f"{row.document_id}/{row.generation}"}
    properties |= {name: base64.b64encode(properties[name]).decode() for name in BLOBS}
    vector = properties.pop("vector")
    return DataObject(uuid=uuid.UUID(properties.pop("chunk_id")), properties=properties, vector=vector)


def _connected(site: WeaviateSite) -> client_library.WeaviateAsyncClient:
    host, _, port = site.url.removeprefix("http://").partition(":")
    return client_library.use_async_with_custom(
        host, int(port), False, host, site.grpc_port, False, auth_credentials=site.key, skip_init_checks=True
    )
