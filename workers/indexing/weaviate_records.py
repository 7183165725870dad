"""Rows as Weaviate's objects, and objects as records."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from weaviate.classes.data import DataObject

from workers.encoding.base import PassageEmbedding
from workers.indexing.base import Row
from workers.indexing.records import CANDIDATE_COLUMNS, ROW_COLUMNS, Record, to_embedding, to_record
from workers.indexing.weaviate_conditions import source, stored_tag

Properties = dict[str, Any]

VECTOR = "default"
"""The name of the one vector of a chunk. It is always given: a server of version 1.27 does not find a vector without one."""

_BYTES = ("sentences", "sentence_vectors")
_NEVER_NONE = ("name", "text")
_NOT_STORED = ("chunk_id", "vector")
"""Known from the object itself: its id is that of the chunk."""

CANDIDATE_PROPERTIES = [name for name in CANDIDATE_COLUMNS if name not in _NOT_STORED]
ROW_PROPERTIES = [name for name in ROW_COLUMNS if name not in _NOT_STORED]
EMBEDDING_PROPERTIES = ["text_digest", "sentence_vectors"]


class Found(Protocol):
    """What of an object that Weaviate returns is needed here."""

    @property
    def uuid(self) -> uuid.UUID: ...

    @property
    def properties(self) -> Mapping[str, Any]: ...

    @property
    def vector(self) -> Mapping[str, Any]: ...


def to_object(row: Row) -> DataObject[Properties, None]:
    """A row as it is stored. Bytes travel as base64, and what is missing or empty is left out."""
    record = to_record(row)
    record |= {name: base64.b64encode(record[name]).decode() for name in _BYTES}
    record |= {"source": source(row.document_id, row.generation), "tags": [stored_tag(tag) for tag in record["tags"]]}
    properties = {k: v for k, v in record.items() if k not in _NOT_STORED and v not in (None, "", [])}
    return DataObject(uuid=uuid.UUID(row.chunk_id), properties=properties, vector={VECTOR: record["vector"]})


def to_candidate_record(found: Found, *, score: float | None = None) -> Record:
    """An object as `merged` takes it."""
    record: dict[str, Any] = {
        **found.properties,
        "chunk_id": str(found.uuid),
        "vector": _vector(found),
        "_score": score,
    }
    for name in _BYTES:
        record[name] = _bytes(record[name])
    for name in _NEVER_NONE:
        record[name] = record[name] or ""
    return record


def to_known_embedding(found: Found) -> tuple[str, PassageEmbedding]:
    """The digest of an object's text, and its embedding."""
    stored = {"vector": _vector(found), "sentence_vectors": _bytes(found.properties.get("sentence_vectors"))}
    return found.properties["text_digest"], to_embedding(stored)


def _bytes(value: str | None) -> bytes:
    return base64.b64decode(value) if value else b""


def _vector(found: Found) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(found.vector[VECTOR], dtype=np.float32)
