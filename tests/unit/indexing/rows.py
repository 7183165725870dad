"""Rows to index and values that try to be more than data."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.identifiers import chunk_id, digest
from workers.encoding.base import Passage, PassageEmbedding, Vector
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import Candidate, Row

TENANT = "acme"
DIMENSION = 32
EMBEDDER = SimulatedEmbedder(dimension=DIMENSION)
NASTY = (
    "' OR 1=1 --",
    "'; DROP TABLE chunks; --",
    "it's",
    'double " quote',
    "back\\slash\\",
    "\\' OR 1=1",
    "a=b=c",
    "%_*?",
    "$1 {x} ${y}",
    "line\nbreak\ttab",
    "蜜蜂🐝",
    "\u2028\u202e",
    "",
)


def row(
    text: str,
    *,
    ordinal: int = 0,
    document_id: str = "d",
    generation: str = "g1",
    tenant: str = TENANT,
    sentences: tuple[tuple[int, int], ...] | None = None,
    embedder: SimulatedEmbedder = EMBEDDER,
) -> Row:
    """One chunk of a document, in two sentences unless told others."""
    half = len(text) // 2
    spans = ((0, half), (half, len(text))) if sentences is None else sentences
    (embedding,) = embedder.encode_passages([Passage(text=text, sentences=spans)])
    assert isinstance(embedding, PassageEmbedding)
    return Row(
        chunk_id=chunk_id(tenant, document_id, generation, ordinal),
        tenant=tenant,
        document_id=document_id,
        generation=generation,
        ordinal=ordinal,
        name=f"{document_id}.txt",
        text=text,
        text_digest=digest(text),
        start=10 * ordinal,
        end=10 * ordinal + len(text),
        page=ordinal + 1,
        heading=None,
        metadata={},
        sentences=spans,
        embedding=embedding,
    )


def question(text: str) -> Vector:
    vector: Vector = EMBEDDER.encode_questions([text])[0]
    return vector


def texts(candidates: Sequence[Candidate]) -> set[str]:
    return {candidate.text for candidate in candidates}
