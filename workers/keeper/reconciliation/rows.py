"""Rows that the ledger does not account for, and documents whose rows are not there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from contracts.documents import DocumentRecord, Generation, GenerationState
from contracts.identifiers import derived_id
from contracts.reconciliation import Remedy
from messaging.broker import Broker
from messaging.census import Census, GenerationKey, IndexCensus
from messaging.document_failures import request_purge
from messaging.generations import READ_ON
from messaging.ledger import DocumentLedger, SupersededError, Unreadable
from messaging.records import with_records
from messaging.submissions import Submissions
from workers.keeper.reconciliation.finding import MOST_FINDINGS, Finding, Rhythm, left_alone

MOST_UNRECORDED = 0.05
"""Above this share of rows without any record it is the ledger that is suspected, and nothing is done."""


class IndexRows:
    """Compares a census of the index with the ledger.

    Rows go only when a record says that their generation is over. Rows without a record are never returned by a search;
    they are told and left alone, for it may be the record that is missing.
    """

    name = "index"

    def __init__(
        self,
        broker: Broker,
        census: IndexCensus,
        ledger: DocumentLedger,
        submissions: Submissions,
        rhythm: Rhythm,
        *,
        bury_unrecorded: bool = False,
    ) -> None:
        self._broker = broker
        self._census = census
        self._ledger = ledger
        self._submissions = submissions
        self._rhythm = rhythm
        self._bury_unrecorded = bury_unrecorded
        self.interval_s = rhythm.index_pause_s

    async def find(self) -> Sequence[Finding]:
        begun = self._broker.clock.now()
        census = await self._census.take()
        ended, unrecorded = list[Finding](), list[Finding]()
        async for key, record in with_records(self._ledger, list(census), lambda key: key[:2]):
            if isinstance(record, Unreadable):  # told by the look at documents
                continue
            if record is None:
                unrecorded.append(self._unrecorded(key, census[key]))
            elif (why := self._over(record, key[2], begun)) is not None:
                ended.append(self._ended(key, census[key], why))
        lost = sum(finding.count for finding in unrecorded)
        if lost > MOST_UNRECORDED * sum(census.values()) and not self._bury_unrecorded:
            return [_too_many(lost, sum(census.values())), *unrecorded[:MOST_FINDINGS]]
        missing = [finding async for finding in self._missing(census, begun)]
        return [*ended[:MOST_FINDINGS], *missing[:MOST_FINDINGS], *unrecorded[:MOST_FINDINGS]]

    def _over(self, record: DocumentRecord, generation: str, begun: datetime) -> str | None:
        """Why the rows of a generation should be gone by now; None when they should not."""
        known = record.generation(generation)
        if generation in (record.visible_generation, record.pending_generation) and not record.deleted:
            return None
        if known is None:  # it was forgotten, at the latest when the latest one was submitted
            long_ago = record.latest.submitted_at + READ_ON <= begun - self._rhythm.settled
            return "forgotten" if record.deleted or long_ago else None
        kept = READ_ON if known.state is GenerationState.SUPERSEDED and not record.deleted else timedelta()
        if known.updated_at + kept > begun - self._rhythm.settled:
            return None
        return "deleted" if record.deleted else known.state.value

    async def _missing(self, census: Census, begun: datetime) -> AsyncIterator[Finding]:
        async for record in self._ledger.records():
            if isinstance(record, Unreadable):
                continue
            visible = record.generation(record.searchable_generation) if record.searchable_generation else None
            if visible is None or visible.plan is None or visible.updated_at > begun - self._rhythm.settled:
                continue
            found = census.get((record.tenant, record.document_id, visible.generation), 0)
            if found != visible.plan.chunks and record.pending_generation is None:
                yield self._incomplete(record, visible, found, visible.plan.chunks)

    def _ended(self, key: GenerationKey, rows: int, why: str) -> Finding:
        tenant, document_id, generation = key
        return Finding(
            remedy=Remedy.PURGE,
            subject=f"document {document_id} generation {generation}",
            reason=f"the index holds {rows} rows of a generation that is {why}",
            tenant=tenant,
            document_id=document_id,
            generation=generation,
            count=rows,
            apply=partial(request_purge, self._broker, tenant, document_id, generation),
        )

    def _incomplete(self, record: DocumentRecord, visible: Generation, found: int, chunks: int) -> Finding:
        latest = record.latest.generation == visible.generation
        reason = f"the index holds {found} of the {chunks} rows of a generation that is ready"
        return Finding(
            remedy=Remedy.RERUN if latest else Remedy.QUARANTINE,
            subject=f"document {record.document_id} generation {visible.generation}",
            reason=reason if latest else f"{reason}, and a later submission has failed: submit it again",
            tenant=record.tenant,
            document_id=record.document_id,
            generation=visible.generation,
            apply=partial(self._rerun, record, visible) if latest else left_alone,
        )

    def _unrecorded(self, key: GenerationKey, rows: int) -> Finding:
        tenant, document_id, generation = key
        return Finding(
            remedy=Remedy.PURGE if self._bury_unrecorded else Remedy.QUARANTINE,
            subject=f"document {document_id} generation {generation}",
            reason=f"the index holds {rows} rows, and the ledger has no record of the document",
            tenant=tenant,
            document_id=document_id,
            generation=generation,
            count=rows,
            apply=partial(self._bury, key) if self._bury_unrecorded else left_alone,
        )

    async def _bury(self, key: GenerationKey) -> None:
        """Enter a tombstone, which is what a purge asks for. A document that was submitted meanwhile stays."""
        record = await self._ledger.bury(*key)
        if record.deleted:
            await request_purge(self._broker, *key)

    async def _rerun(self, record: DocumentRecord, visible: Generation) -> None:
        """The id of the new generation follows from the old one, so that any number of reconcilers make one."""
        fresh = derived_id("rebuild", record.tenant, record.document_id, visible.generation)
        try:
            await self._submissions.resubmit(
                record.tenant, record.document_id, visible.generation, fresh=fresh, rebuild=True
            )
        except SupersededError:  # submitted again or deleted meanwhile: that mends it
            return


def _too_many(rows: int, total: int) -> Finding:
    return Finding(
        remedy=Remedy.HOLD,
        subject="the index",
        reason=f"{rows} of {total} rows have no record: the ledger may be lost or another one. Restore it; if the rows "
        "are to go, run `waggle reconcile --purge-unrecorded`",
        count=rows,
    )
