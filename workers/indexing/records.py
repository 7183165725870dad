"""Rows as the columns of a table, and columns as candidates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workers.encoding.base import PassageEmbedding, Vector
from workers.indexing.base import Candidate, Row
from workers.indexing.filter_tags import tags
from workers.indexing.sentence_vectors import pack, unpack
from workers.text.terms import keyword_text

Record = Mapping[str, Any]

CANDIDATE_COLUMNS = [
    "chunk_id",
    "document_id",
    "generation",
    "ordinal",
    "name",
    "text",
    "start",
    "end",
    "page",
    "heading",
    "metadata",
    "sentences",
    "sentence_vectors",
    "vector",
]
EMBEDDING_COLUMNS = ["text_digest", "vector", "sentence_vectors"]
ROW_COLUMNS = [*CANDIDATE_COLUMNS, "tenant", "text_digest"]
"""All that cannot be derived: a row is written again from these, whatever the format that they were stored in."""


def to_record(row: Row) -> dict[str, Any]:
    """A row as it is stored; `terms` is what keyword search sees of it."""
    return {
        "chunk_id": row.chunk_id,
        "tenant": row.tenant,
        "document_id": row.document_id,
        "generation": row.generation,
        "ordinal": row.ordinal,
        "name": row.name,
        "text": row.text,
        "terms": keyword_text(row.text, heading=row.heading),
        "text_digest": row.text_digest,
        "start": row.start,
        "end": row.end,
        "page": row.page,
        "heading": row.heading,
        "metadata": json.dumps(row.metadata, ensure_ascii=False),
        "tags": tags(row.metadata),
        "sentences": np.asarray(row.sentences, dtype="<i4").tobytes(),
        "sentence_vectors": pack(row.embedding.sentences),
        "vector": row.embedding.vector,
    }


def to_embedding(record: Record) -> PassageEmbedding:
    vector = np.asarray(record["vector"], dtype=np.float32)
    return PassageEmbedding(vector=vector, sentences=unpack(record["sentence_vectors"], dimension=len(vector)))


def to_row(record: Record) -> Row:
    """What was stored, to be stored again."""
    return Row(
        chunk_id=record["chunk_id"],
        tenant=record["tenant"],
        document_id=record["document_id"],
        generation=record["generation"],
        ordinal=record["ordinal"],
        name=record["name"],
        text=record["text"],
        text_digest=record["text_digest"],
        start=record["start"],
        end=record["end"],
        page=record["page"],
        heading=record["heading"],
        metadata=json.loads(record["metadata"]),
        sentences=_spans(record["sentences"]),
        embedding=to_embedding(record),
    )


def to_candidate(record: Record, *, question: Vector | None, keyword_score: float | None) -> Candidate:
    """A stored row as a search returns it; `question`: (d,) float32, L2-normalised."""
    vector = np.asarray(record["vector"], dtype=np.float32)
    return Candidate(
        chunk_id=record["chunk_id"],
        document_id=record["document_id"],
        generation=record["generation"],
        ordinal=record["ordinal"],
        name=record["name"],
        text=record["text"],
        start=record["start"],
        end=record["end"],
        page=record["page"],
        heading=record["heading"],
        metadata=json.loads(record["metadata"]),
        sentences=_spans(record["sentences"]),
        sentence_vectors=unpack(record["sentence_vectors"], dimension=len(vector)),
        similarity=None if question is None else float(vector @ question),
        keyword_score=keyword_score,
    )


def merged(by_vector: Sequence[Record], by_keyword: Sequence[Record], *, question: Vector | None) -> list[Candidate]:
    """Both sides' rows, each once: those that the keyword side found, then the rest, each in its side's order."""
    scores = {record["chunk_id"]: record["_score"] for record in by_keyword}
    known = {record["chunk_id"]: record for record in (*by_keyword, *by_vector)}
    return [to_candidate(known[i], question=question, keyword_score=scores.get(i)) for i in known]


def _spans(data: bytes) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in np.frombuffer(data, dtype="<i4").reshape(-1, 2).tolist())
