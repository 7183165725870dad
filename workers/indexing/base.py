"""The edge to the index that searches chunks by vector and by keyword."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.documents import Metadata, Span
from contracts.queries import Filters
from workers.encoding.base import PassageEmbedding, Vector


@dataclass(frozen=True, kw_only=True)
class Row:
    """A chunk as the index keeps it. `text_digest` stands for all that its embedding depends on, to reuse it."""

    chunk_id: str
    tenant: str
    document_id: str
    generation: str
    ordinal: int
    name: str
    text: str
    text_digest: str
    start: int
    end: int
    page: int | None
    heading: str | None
    metadata: Metadata
    sentences: tuple[Span, ...]
    embedding: PassageEmbedding


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row found by a search, with the raw score of each side that found it.

    `similarity` is the cosine of question and passage, also for rows that only the keyword side found (None when no
    question vector was given). `keyword_score` is the engine's own (BM25), None when only the vector side found it.
    """

    chunk_id: str
    document_id: str
    generation: str
    ordinal: int
    name: str
    text: str
    start: int
    end: int
    page: int | None
    heading: str | None
    metadata: Metadata
    sentences: tuple[Span, ...]
    sentence_vectors: Vector
    similarity: float | None
    keyword_score: float | None


@dataclass(frozen=True, kw_only=True)
class Visible:
    """Restricts a search of some documents to exactly these generations."""

    generations: frozenset[tuple[str, str | None]] = field(default_factory=frozenset)
    """(document_id, generation) pairs; None: the document has no visible generation, leave it out altogether."""


class VectorIndex(Protocol):
    """Rows of all tenants; every call names the tenant and touches no other's."""

    async def open(self) -> None:
        """Connect or create. Raises `PermanentError` when the recorded identity (encoder, dimension) differs."""
        ...

    async def upsert(self, rows: Sequence[Row]) -> None:
        """Write rows by chunk id; visible to searches of every process when this returns."""
        ...

    async def delete_generation(self, tenant: str, document_id: str, generation: str) -> int:
        """Delete all rows of a generation and return how many there were."""
        ...

    async def count_generation(self, tenant: str, document_id: str, generation: str) -> int: ...

    async def census(self) -> dict[tuple[str, str, str], int]:
        """How many rows there are of each (tenant, document_id, generation), of all tenants."""
        ...

    def rows(self, tenant: str, document_id: str, generation: str) -> AsyncIterator[Row]:
        """All rows of a generation as they were written, read page by page, in no order.

        A row that is written or deleted meanwhile may be among them or not.
        """
        ...

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        """Known embeddings of a document's unchanged texts, by `text_digest`."""
        ...

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
        """Up to `limit` rows by each side given (keyword if `text`, vector if `vector`), merged by chunk id, unranked.

        With `visible`, rows of the documents named there are returned only of the generation named with them.
        """
        ...

    async def optimize(self) -> None:
        """Fold new rows into the index structures; cheap when there is nothing to do."""
        ...

    async def close(self) -> None: ...
