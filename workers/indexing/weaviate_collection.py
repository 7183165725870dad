"""The collection of chunks: its properties, whose it is, and how it comes to be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from weaviate.classes.config import (
    Configure,
    DataType,
    Property,
    ReplicationDeletionStrategy,
    StopwordsPreset,
    Tokenization,
    VectorDistances,
)
from weaviate.collections.classes.config import CollectionConfig

from contracts.errors import PermanentError, TransientError
from workers.encoding.base import EncoderIdentity
from workers.indexing.identity import encoder_of, recorded, require_same
from workers.indexing.weaviate_connection import Connection
from workers.indexing.weaviate_errors import AnsweredError
from workers.indexing.weaviate_records import VECTOR

if TYPE_CHECKING:
    from weaviate.collections.classes.config import _ReplicationConfigCreate as ReplicationConfig

FORMAT = "1"
"""Raised when the properties or the terms change so that old rows would not be found."""
EXACT_UP_TO = 40_000
"""Vectors that a search compares one by one. With more to compare the engine follows its graph, which may miss a few."""
LAST_ONE_COUNTS_SINCE = (1, 29)
"""Older servers refuse the setting; there a row that was deleted while a node was away is back with it until it is purged."""
LEAST_BREADTH = 256
"""How many neighbours the graph is searched with at least; the engine's own 100 misses more."""


def properties() -> list[Property]:
    """All properties of a chunk. Values that are compared are kept whole (FIELD), so that nothing in them has a meaning."""
    compared = [_compared(name) for name in ("tenant", "document_id", "generation", "source", "text_digest")]
    kept = [_kept(name, DataType.TEXT) for name in ("name", "text", "heading", "metadata")]
    numbers = [_kept(name, DataType.INT) for name in ("ordinal", "start", "end", "page")]
    tags = _compared("tags", DataType.TEXT_ARRAY)
    terms = Property(
        name="terms", data_type=DataType.TEXT, tokenization=Tokenization.WHITESPACE, index_filterable=False
    )
    blobs = [Property(name=name, data_type=DataType.BLOB) for name in ("sentences", "sentence_vectors")]
    return [*compared, tags, terms, *kept, *numbers, *blobs]


class Collection:
    """Creates or checks the collection that the connection's settings name."""

    def __init__(
        self, connection: Connection, name: str, identity: EncoderIdentity, *, any_format: bool = False
    ) -> None:
        """`any_format`: only to read rows, which earlier formats hold as well."""
        self._connection = connection
        self._name = name
        self._identity = identity
        self._any_format = any_format

    async def open(self) -> None:
        """Create what is missing. Any number of processes may do so at once.

        Raises `PermanentError` when the collection is that of another encoder, or not one of ours.
        """
        config = await self._existing() or await self._created()
        self._check_identity(config.description)
        await self._add_missing({known.name for known in config.properties})

    async def require(self) -> None:
        """Raise when it is not there any more. It is not made anew: whoever removed it may be about to restore it."""
        if not await self._exists():
            raise TransientError(
                f"the collection {self._name} of Weaviate at {self._connection.address.url} (WAGGLE_WEAVIATE_COLLECTION) was "
                "removed: restore it, or restart a worker, which makes an empty one, and submit the documents again"
            )

    async def _exists(self) -> bool:
        return await self._connection.ask(lambda: self._connection.client.collections.exists(self._name))

    async def _existing(self) -> CollectionConfig | None:
        if not await self._exists():
            return None
        return await self._connection.ask(self._connection.collection().config.get)

    async def _created(self) -> CollectionConfig:
        try:
            await self._connection.ask(self._create, writes=True)
        except AnsweredError:  # another process was first, or it truly failed
            config = await self._existing()
            if config is None:
                raise
            return config
        return await self._connection.ask(self._connection.collection().config.get)

    async def _create(self) -> None:
        graph = Configure.VectorIndex.hnsw(
            distance_metric=VectorDistances.COSINE,
            quantizer=Configure.VectorIndex.Quantizer.none(),
            flat_search_cutoff=EXACT_UP_TO,
            dynamic_ef_min=LEAST_BREADTH,
        )
        await self._connection.client.collections.create(
            self._name,
            description=json.dumps(self._recorded_identity()),
            properties=properties(),
            multi_tenancy_config=Configure.multi_tenancy(enabled=True, auto_tenant_creation=False),
            vector_config=Configure.Vectors.self_provided(name=VECTOR, vector_index_config=graph),
            inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
            replication_config=self._replication(),
        )

    def _replication(self) -> ReplicationConfig:
        """A node that was away catches up by itself; where copies differ, what was done last counts, deleting included."""
        knows = self._connection.address.version >= LAST_ONE_COUNTS_SINCE
        strategy = ReplicationDeletionStrategy.TIME_BASED_RESOLUTION if knows else None
        return Configure.replication(async_enabled=True, deletion_strategy=strategy)

    async def _add_missing(self, known: set[str]) -> None:
        """A release that stores more brings an older collection up to date."""
        for missing in [wanted for wanted in properties() if wanted.name not in known]:
            await self._add(missing)

    async def _add(self, missing: Property) -> None:
        config = self._connection.collection().config
        try:
            await self._connection.ask(lambda: config.add_property(missing), writes=True)
        except AnsweredError:
            current = await self._connection.ask(config.get)
            if missing.name not in {known.name for known in current.properties}:
                raise

    def _recorded_identity(self) -> dict[str, str]:
        return recorded(self._identity, format_=FORMAT)

    def _check_identity(self, description: str | None) -> None:
        found = recorded_in(description)
        where = f"the collection {self._name} of Weaviate at {self._connection.address.url}"
        if found is None:
            raise PermanentError(f"{where} was not made by Waggle: give another name as WAGGLE_WEAVIATE_COLLECTION")
        if self._any_format and encoder_of(found) == self._identity:
            return
        renewal = "give a new name as WAGGLE_WEAVIATE_COLLECTION and ingest again"
        require_same(found, self._recorded_identity(), index=where, renewal=renewal)


def _compared(name: str, kind: DataType = DataType.TEXT) -> Property:
    return Property(name=name, data_type=kind, tokenization=Tokenization.FIELD, index_searchable=False)


def _kept(name: str, kind: DataType) -> Property:
    """Only returned, never searched by."""
    searchable = False if kind is DataType.TEXT else None
    return Property(name=name, data_type=kind, index_filterable=False, index_searchable=searchable)


def recorded_in(description: str | None) -> dict[str, str] | None:
    """What a collection's description says of its encoder; None for one that is not ours."""
    try:
        found: Any = json.loads(description or "")
    except ValueError:
        return None
    if not isinstance(found, dict) or not {"encoder", "dimension", "format"} <= found.keys():
        return None
    texts = all(isinstance(value, str) for value in found.values())
    return found if texts and found["dimension"].isdecimal() else None
