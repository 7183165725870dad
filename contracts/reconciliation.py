"""What the reconciler found amiss and did about it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from contracts.identifiers import DEFAULT_TENANT, Token
from contracts.message import Message


class Remedy(StrEnum):
    """What is done about a finding."""

    REDRIVE = "redrive"  # ask for work again: nobody works on an accepted document, or gets a message any more
    RERUN = "rerun"  # run the visible generation again as a new one: its rows are not all there
    FAIL = "fail"  # end the document failed: asking again did not help
    DEAD_LETTER = "dead_letter"  # end a message that asking again did not help
    PURGE = "purge"  # have the rows and uploads of an ended generation removed
    REMOVE_UPLOAD = "remove_upload"  # an upload that belongs to nothing
    REMOVE_LETTER = "remove_letter"  # a dead letter that holds text of a deleted document
    QUARANTINE = "quarantine"  # left alone and told: nothing says that it may go
    HOLD = "hold"  # too much is amiss to act without a person


class ReconcileEvent(Message):
    """A remedy that was applied. `id` is deterministic: consumers drop repeats by it."""

    id: str
    tenant: Token = DEFAULT_TENANT
    remedy: Remedy
    subject: str
    """What it was applied to: a document and generation, a message, an upload."""
    document_id: Token | None = None
    generation: Token | None = None
    reason: str
    count: int = Field(default=1, ge=1)
