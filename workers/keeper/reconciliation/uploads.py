"""Uploads that belong to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from contracts import topology
from contracts.documents import DocumentRecord, GenerationState
from contracts.reconciliation import Remedy
from messaging.broker import Broker
from messaging.document_failures import request_purge
from messaging.generations import READ_ON
from messaging.ledger import DocumentLedger, Unreadable
from messaging.records import with_records
from messaging.storage import Storage
from messaging.upload_inventory import StoredPart, UploadInventory
from messaging.uploads import Uploads
from workers.keeper.reconciliation.finding import MOST_FINDINGS, Finding, Rhythm

MOST_UNRECORDED = 0.05
FEW = 10
"""So many uploads without a record may be left behind by a gateway that died, however few there are in all."""

LEDGER = f"KV_{topology.DOCUMENTS.name}"


class OrphanUploads:
    """Finds objects of documents without a record or of generations that are over, and chunks that no object names.

    An empty ledger, one that is younger than an upload, or one that knows nothing of too many uploads is not believed.
    """

    name = "uploads"

    def __init__(
        self, broker: Broker, storage: Storage, ledger: DocumentLedger, uploads: Uploads, rhythm: Rhythm
    ) -> None:
        self._broker = broker
        self._storage = storage
        self._ledger = ledger
        self._uploads = uploads
        self._inventory = UploadInventory(storage)
        self._rhythm = rhythm
        self.interval_s = rhythm.uploads_pause_s

    async def find(self) -> Sequence[Finding]:
        before = self._broker.clock.now() - self._rhythm.orphaned
        inventory = await self._inventory.take()
        ended, unrecorded = list[Finding](), list[StoredPart]()
        parts = [part for part in inventory.parts if part.stored_at <= before]
        async for part, record in with_records(self._ledger, parts, lambda part: (part.tenant, part.document_id)):
            if isinstance(record, Unreadable):  # told by the look at documents
                continue
            if record is None:
                unrecorded.append(part)
            elif (why := _over(record, part.generation, before)) is not None:
                ended.append(self._ended(part, why))
        orphans = await self._believed(unrecorded, len(inventory.parts))
        halves = await self._half_written(inventory.unfinished, before)
        return [*_distinct(ended), *_distinct(orphans), *halves][:MOST_FINDINGS]

    async def _believed(self, unrecorded: list[StoredPart], total: int) -> list[Finding]:
        if not unrecorded:
            return []
        made_at = await self._storage.created_at(LEDGER)
        empty = not await self._storage.following(LEDGER, ">", limit=1)
        older = any(part.stored_at < made_at for part in unrecorded)
        if empty or older or len(unrecorded) > max(FEW, MOST_UNRECORDED * total):
            return [_not_believed(len(unrecorded), total)]
        return [self._orphan(part) for part in unrecorded]

    async def _half_written(self, nuids: frozenset[str], before: datetime) -> list[Finding]:
        found: list[Finding] = []
        for nuid in sorted(nuids):
            written_at = await self._inventory.last_written_at(nuid)
            if written_at is not None and written_at <= before:
                found.append(
                    Finding(
                        remedy=Remedy.REMOVE_UPLOAD,
                        subject=f"chunks {nuid}",
                        reason=f"never finished, last written {written_at:%Y-%m-%d %H:%M:%S} UTC",
                        apply=partial(self._inventory.remove_chunks, nuid),
                    )
                )
            if len(found) == MOST_FINDINGS:
                break
        return found

    def _ended(self, part: StoredPart, why: str) -> Finding:
        return Finding(
            remedy=Remedy.PURGE,
            subject=f"uploads of document {part.document_id} generation {part.generation}",
            reason=f"its generation is {why}",
            tenant=part.tenant,
            document_id=part.document_id,
            generation=part.generation,
            apply=partial(request_purge, self._broker, part.tenant, part.document_id, part.generation),
        )

    def _orphan(self, part: StoredPart) -> Finding:
        return Finding(
            remedy=Remedy.REMOVE_UPLOAD,
            subject=f"uploads of document {part.document_id} generation {part.generation}",
            reason="the ledger has no record of the document: its submission was cut off",
            tenant=part.tenant,
            document_id=part.document_id,
            generation=part.generation,
            apply=partial(self._remove, part),
        )

    async def _remove(self, part: StoredPart) -> None:
        if await self._ledger.get(part.tenant, part.document_id) is None:
            await self._uploads.delete(part.tenant, part.document_id, part.generation)


def _over(record: DocumentRecord, generation: str, before: datetime) -> str | None:
    """Why a generation needs its uploads no more; None when it does. What failed may be run again."""
    if record.deleted:
        return "deleted" if record.latest.updated_at <= before else None
    if generation in (record.visible_generation, record.pending_generation):
        return None
    known = record.generation(generation)
    if known is None:  # forgotten, or never entered because the submission was cut off
        return "unknown to the record of its document"
    if known.state is GenerationState.FAILED or known.updated_at + READ_ON > before:
        return None
    return known.state.value


def _not_believed(unrecorded: int, total: int) -> Finding:
    return Finding(
        remedy=Remedy.HOLD,
        subject="the uploads",
        reason=f"{unrecorded} of {total} uploads have no record: the ledger may be lost or another one. Restore it",
        count=unrecorded,
    )


def _distinct(findings: list[Finding]) -> list[Finding]:
    """Both parts of a generation are one finding."""
    return list({finding.key: finding for finding in findings}.values())
