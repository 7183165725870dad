"""Candidates and records for tests of retrieval."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from contracts.documents import DocumentRecord, Generation, GenerationState
from workers.encoding.base import Vector
from workers.indexing.base import Candidate

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def unit(*values: float) -> Vector:
    vector = np.array(values, dtype=np.float32)
    scaled: Vector = vector / np.linalg.norm(vector)
    return scaled


def candidate(
    text: str,
    *,
    document_id: str = "d",
    generation: str = "g1",
    ordinal: int = 0,
    similarity: float | None = None,
    keyword_score: float | None = None,
    sentences: tuple[tuple[int, int], ...] = (),
    sentence_vectors: Vector | None = None,
) -> Candidate:
    return Candidate(
        chunk_id=f"{document_id}-{generation}-{ordinal}",
        document_id=document_id,
        generation=generation,
        ordinal=ordinal,
        name=f"{document_id}.txt",
        text=text,
        start=100,
        end=100 + len(text),
        page=None,
        heading=None,
        metadata={},
        sentences=sentences,
        sentence_vectors=np.zeros((0, 2), dtype=np.float32) if sentence_vectors is None else sentence_vectors,
        similarity=similarity,
        keyword_score=keyword_score,
    )


def record(document_id: str, visible: str | None, *, deleted: bool = False) -> DocumentRecord:
    names = (visible,) if visible else ("none",)
    return DocumentRecord(
        document_id=document_id,
        deleted=deleted,
        visible_generation=visible,
        generations=tuple(
            Generation(
                generation=name,
                version=1,
                state=GenerationState.READY,
                name=f"{document_id}.txt",
                sha256="0" * 64,
                size_bytes=1,
                submitted_at=NOW,
                updated_at=NOW,
            )
            for name in names
        ),
    )
