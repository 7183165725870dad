"""Ledger records as the bucket holds them, also those that this release cannot read."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from contracts.documents import DocumentRecord
from contracts.errors import TransientError
from messaging.buckets import Entry


class UnreadableRecordError(TransientError):
    """A ledger record that this release cannot read, most likely written by a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record that is there and cannot be read by this release."""

    tenant: str
    document_id: str
    reason: str


def known_of(entry: Entry) -> DocumentRecord | Unreadable | None:
    """What an entry holds, told rather than raised when it cannot be read."""
    try:
        return record_of(entry)
    except UnreadableRecordError as error:
        tenant, _, document_id = entry.key.partition(".")
        return Unreadable(tenant=tenant, document_id=document_id, reason=str(error))


def record_of(entry: Entry | None) -> DocumentRecord | None:
    """Read an entry of the ledger's bucket. Raises `UnreadableRecordError`."""
    if entry is None or entry.value is None:
        return None
    try:
        return DocumentRecord.model_validate_json(entry.value)
    except ValidationError as error:
        raise UnreadableRecordError(
            f"the ledger record {entry.key} cannot be read by this release: upgrade it ({error.error_count()} errors)"
        ) from error
