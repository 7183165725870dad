"""Which generations another one took the place of: they were stamped with the same time, in the same write."""

from __future__ import annotations

from contracts.documents import DocumentRecord, GenerationState


def replaced_by(record: DocumentRecord, generation: str) -> tuple[str, ...]:
    """The generation that the flip to `generation` superseded, if any: both were stamped with the same time."""
    flip = record.generation(generation)
    if flip is None or flip.state is not GenerationState.READY:
        return ()
    return tuple(
        g.generation
        for g in record.generations
        if g.state is GenerationState.SUPERSEDED and g.version < flip.version and g.updated_at == flip.updated_at
    )


def superseded_by(record: DocumentRecord, generation: str) -> tuple[str, ...]:
    """The generations that `generation` superseded when it was submitted: all were stamped with the same time."""
    submitted = record.generation(generation)
    if submitted is None:
        return ()
    return tuple(
        g.generation
        for g in record.generations
        if g.state is GenerationState.SUPERSEDED
        and g.version < submitted.version
        and g.updated_at == submitted.submitted_at
    )
