"""Dead letters that hold text of deleted documents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from contracts.documents import DocumentRecord
from contracts.reconciliation import Remedy
from messaging.document_letters import DocumentLetters
from messaging.ledger import DocumentLedger
from messaging.records import with_records
from workers.keeper.reconciliation.finding import MOST_FINDINGS, Finding, Rhythm


class LettersOfTheDeleted:
    """Finds letters that were written after their document was deleted; the others go with it."""

    name = "letters"

    def __init__(self, letters: DocumentLetters, ledger: DocumentLedger, rhythm: Rhythm) -> None:
        self._letters = letters
        self._ledger = ledger
        self.interval_s = rhythm.pause_s

    async def find(self) -> Sequence[Finding]:
        named, found = sorted(await self._letters.documents()), list[Finding]()
        async for document, record in with_records(self._ledger, named, lambda document: document):
            gone = isinstance(record, DocumentRecord) and record.deleted
            if gone and await self._letters.remain(*document):
                found.append(self._finding(*document))
        return found[:MOST_FINDINGS]

    def _finding(self, tenant: str, document_id: str) -> Finding:
        return Finding(
            remedy=Remedy.REMOVE_LETTER,
            subject=f"dead letters of document {document_id}",
            reason="the document was deleted",
            tenant=tenant,
            document_id=document_id,
            apply=partial(self._remove, tenant, document_id),
        )

    async def _remove(self, tenant: str, document_id: str) -> None:
        record = await self._ledger.get(tenant, document_id)
        if record is not None and record.deleted:  # else it was submitted again meanwhile
            await self._letters.remove(tenant, document_id)
