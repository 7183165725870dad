"""What the ledger says of rows."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.documents import DocumentRecord, GenerationState
from messaging.generations import READ_ON
from messaging.ledger import Unreadable

Known = DocumentRecord | Unreadable | None


def is_current(record: Known, generation: str) -> bool:
    """Whether a generation is visible or on its way to be."""
    if not isinstance(record, DocumentRecord) or record.deleted:
        return False
    return generation in (record.visible_generation, record.pending_generation)


def is_over(record: Known, generation: str, *, now: datetime, kept: timedelta = READ_ON) -> bool:
    """Whether the record says that nobody may need a generation's rows any more.

    Only positive evidence counts: rows of a document without a readable record are never over.
    """
    if not isinstance(record, DocumentRecord) or is_current(record, generation):
        return False
    if record.deleted:
        return True
    known = record.generation(generation)
    if known is None:  # it was forgotten, at the latest when the latest one was submitted
        return record.latest.submitted_at + kept <= now
    return known.state is not GenerationState.SUPERSEDED or known.updated_at + kept <= now


def planned(record: Known, generation: str) -> int | None:
    """How many rows a generation has when it is whole; None when that is not known."""
    known = record.generation(generation) if isinstance(record, DocumentRecord) else None
    return known.plan.chunks if known is not None and known.plan is not None else None
