"""What was found somewhere, beside what the ledger says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from contracts.documents import DocumentRecord
from messaging.ledger import DocumentKey, DocumentLedger, Unreadable

RECORDS_AT_ONCE = 500

T = TypeVar("T")


async def with_records(
    ledger: DocumentLedger, items: Sequence[T], document: Callable[[T], DocumentKey]
) -> AsyncIterator[tuple[T, DocumentRecord | Unreadable | None]]:
    """Each item with the record of the document that it belongs to; None: there is none."""
    for start in range(0, len(items), RECORDS_AT_ONCE):
        part = items[start : start + RECORDS_AT_ONCE]
        records = await ledger.known(document(item) for item in part)
        for item in part:
            yield item, records.get(document(item))
