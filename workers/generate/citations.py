"""Citations: where in which document something stands."""

from __future__ import annotations

from contracts.answers import Citation
from contracts.queries import RetrievedPassage


def cite(n: int, passage: RetrievedPassage, start: int, end: int) -> Citation:
    """The citation `[n]` of `passage.text[start:end]`."""
    return Citation(
        n=n,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        generation=passage.generation,
        name=passage.name,
        page=passage.page,
        heading=passage.heading,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
    )
