"""What becomes of a ledger record whose chunks are in no index any more: a pure function, as the ledger's own rules.

A record must not say `ready` of what no search can find. So the generation that searches saw, or the one that was on its
way, becomes pending anew under another name: rows that an index may still hold under the old one are never taken for
its. Versions, names, metadata, principals and times of submission stay, and so do failures and tombstones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.documents import DocumentRecord, Generation, GenerationState
from contracts.identifiers import derived_id


@dataclass(frozen=True, kw_only=True)
class Rebuilding:
    """The record to begin with. `renamed` is the generation of the backup that is indexed anew as the pending one.

    `held_back` was on its way while an older generation was searchable. One at a time can be pending, and the older
    one must not be lost if this one fails: it is handed in again once the older one is searchable.
    """

    record: DocumentRecord
    renamed: str | None = None
    held_back: Generation | None = None

    @property
    def pending(self) -> Generation | None:
        name = self.record.pending_generation
        return None if name is None else self.record.generation(name)

    def stored_as(self, generation: str) -> str | None:
        """The name under which a generation's uploads belong in the store; None: not yet."""
        if self.held_back is not None and generation == self.held_back.generation:
            return None
        return self.record.pending_generation if generation == self.renamed else generation


def rebuilding(record: DocumentRecord, *, restore_id: str, now: datetime) -> Rebuilding:
    """How a record of a backup begins in an empty system; the same each time but for `now`."""
    name = record.visible_generation or record.pending_generation
    if record.deleted or name is None:
        return Rebuilding(record=record)
    held_back = held_back_of(record)
    fresh = derived_id("restore", restore_id, record.tenant, record.document_id, name)
    begun = record.model_copy(
        update={
            "visible_generation": None,
            "pending_generation": fresh,
            "generations": tuple(
                _anew(g, fresh, now=now) if g.generation == name else g for g in record.generations if g != held_back
            ),
        }
    )
    return Rebuilding(record=begun, renamed=name, held_back=held_back)


def held_back_of(record: DocumentRecord) -> Generation | None:
    """The generation of a record of a backup that was on its way while an older one was searchable."""
    both = record.visible_generation is not None and record.pending_generation is not None and not record.deleted
    return record.generation(str(record.pending_generation)) if both else None


def _anew(generation: Generation, fresh: str, *, now: datetime) -> Generation:
    return generation.model_copy(
        update={"generation": fresh, "state": GenerationState.SUBMITTED, "updated_at": now, "plan": None}
    )
