"""The document ledger: who may be seen, what is pending, what became of each submission.

One record per document in the KV bucket `documents`, changed only by the rules of `messaging.generations` and only by
compare-and-set, so that any number of gateways and workers may write at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from contracts import topology
from contracts.documents import DocumentRecord, Failure, Metadata, Plan
from contracts.errors import TransientError
from contracts.identifiers import ANONYMOUS
from contracts.sources import UrlSource
from messaging import generations, succession
from messaging.batches import FinishedBatches
from messaging.broker import Broker
from messaging.buckets import Bucket, StaleRevisionError
from messaging.generations import DocumentNotFoundError, IllegalTransitionError, Submission, SupersededError
from messaging.ledger_records import Unreadable, UnreadableRecordError, known_of, record_of
from messaging.storage import Storage, StreamResetError

MAX_TRIES = 40
"""Of one compare-and-set; with 16 writers on one record about 9 are needed."""

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.25

DocumentKey = tuple[str, str]
"""Tenant and document id."""

Rule = Callable[[DocumentRecord | None, datetime], DocumentRecord]


class LedgerContentionError(TransientError):
    """The record was changed by others each time it was to be written; nothing was changed. Try again later."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What a submission came to.

    `generation` is the one that now stands for the submitted content: a new one, or with `unchanged` the latest one,
    which holds the same content under the same name with the same metadata. `superseded` names what it replaced while
    that was pending.
    """

    record: DocumentRecord
    generation: str
    unchanged: bool = False
    superseded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A record as it became at a revision of the ledger."""

    revision: int
    record: DocumentRecord


class DocumentLedger:
    """Reads and changes document records.

    Everything raises `BrokerUnavailableError` when the broker is away: a change may then have been made or not, and may
    be repeated as it is.
    """

    def __init__(
        self, broker: Broker, *, storage: Storage | None = None, jitter: Callable[[], float] = random.random
    ) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.DOCUMENTS, storage=storage)
        self._batches = FinishedBatches(broker, storage=self._bucket.storage)
        self._jitter = jitter

    async def get(self, tenant: str, document_id: str) -> DocumentRecord | None:
        """The record, tombstones included, or None."""
        entry = await self._bucket.get(_key(tenant, document_id))
        return record_of(entry)

    async def get_many(self, tenant: str, document_ids: Iterable[str]) -> dict[str, DocumentRecord]:
        """The records of those documents that have one, by id, in one request for up to 1000."""
        keys = [_key(tenant, document_id) for document_id in dict.fromkeys(document_ids)]
        entries = await self._bucket.get_many(keys)
        return {record.document_id: record for entry in entries if (record := record_of(entry)) is not None}

    async def submit(
        self,
        tenant: str,
        document_id: str,
        *,
        generation: str,
        name: str,
        sha256: str,
        size_bytes: int,
        metadata: Metadata | None = None,
        principal: str = ANONYMOUS,
        source: UrlSource | None = None,
        after_version: int | None = None,
        replacing: str | None = None,
        rebuild: bool = False,
    ) -> Submitted:
        """Enter a submission whose content is uploaded under `generation`.

        When the latest generation has the same content and is pending or visible, nothing is changed. `after_version`
        must be the latest one, if given: raises `SupersededError` when it is not. `replacing` names
        a generation that is to be run again as this one; raises `SupersededError` when `generations.may_run_again` says
        no.
        """
        submission = Submission(
            tenant=tenant,
            document_id=document_id,
            generation=generation,
            name=name,
            sha256=sha256,
            size_bytes=size_bytes,
            metadata=metadata or {},
            principal=principal,
            source=source,
        )

        def rule(record: DocumentRecord | None, now: datetime) -> DocumentRecord:
            if replacing is not None:
                return generations.run_again(record, replacing, submission, now=now, rebuild=rebuild)
            if after_version is not None:
                generations.require_latest(record, document_id, after_version)
            same = generations.same_run(record, submission)
            return record if same and record else generations.submitted(record, submission, now=now)

        record = await self._change(tenant, document_id, rule)
        if record.generation(generation) is None:
            return Submitted(record=record, generation=record.latest.generation, unchanged=True)
        return Submitted(record=record, generation=generation, superseded=succession.superseded_by(record, generation))

    async def plan(
        self, tenant: str, document_id: str, generation: str, plan: Plan, media_type: str | None = None
    ) -> Plan:
        """Record how the generation is cut up, unless that is recorded; returns the recorded plan.

        Raises `SupersededError` when the generation is not pending any more.
        """
        record = await self._change_known(
            tenant,
            document_id,
            lambda known, now: generations.planned(known, generation, plan=plan, media_type=media_type, now=now),
        )
        recorded = record.generation(generation)
        if recorded is None or recorded.plan is None:
            raise SupersededError(f"generation {generation} of document {document_id} has no plan any more")
        return recorded.plan

    async def batch_done(self, tenant: str, document_id: str, generation: str, batch: int, of: int) -> int:
        """Count a finished batch; when the result reaches `of`, call `ready`. A repeat counts once.

        Raises `ValueError` for a batch that is not one of `of`.
        """
        if not 0 <= batch < of:
            raise ValueError(f"batch {batch} of document {document_id} of {tenant} is not one of {of}")
        return await self._batches.finish(generation, batch)

    async def ready(self, tenant: str, document_id: str, generation: str) -> DocumentRecord:
        """Make a fully indexed generation the visible one (the flip). What it replaced: `succession.replaced_by`.

        Raises `SupersededError` when it was replaced or deleted meanwhile, `IllegalTransitionError` when it has failed.
        """
        record = await self._change_known(
            tenant, document_id, lambda known, now: generations.flipped(known, generation, now=now)
        )
        await self._batches.clear(generation)
        return record

    async def fail(self, tenant: str, document_id: str, generation: str, failure: Failure) -> DocumentRecord:
        """End a pending generation with a reason; one that is not pending is left as it is (see the record)."""
        return await self._change_known(
            tenant, document_id, lambda known, now: generations.failed(known, generation, failure=failure, now=now)
        )

    async def delete(self, tenant: str, document_id: str) -> DocumentRecord:
        """Make the document invisible for good. Raises `DocumentNotFoundError` for one that never was."""
        return await self._change_known(tenant, document_id, lambda known, now: generations.deleted(known, now=now))

    async def bury(self, tenant: str, document_id: str, generation: str) -> DocumentRecord:
        """Enter the tombstone of a document that has no record; one that has a record is left as it is."""
        return await self._change(
            tenant,
            document_id,
            lambda known, now: known or generations.buried(tenant, document_id, generation, now=now),
        )

    async def changes(self, after_revision: int = 0) -> AsyncIterator[Change]:
        """Every record that changed after a revision, in the ledger's order, for ever; 0 starts with all records.

        Only a record's newest state is told; nothing is missed over reconnects and broker restarts. Raises
        `StreamResetError` when the ledger is another one than that revision came from: forget and start from 0.
        """
        bucket = self._bucket
        async for stored in bucket.storage.follow(bucket.stream, bucket.subject(">"), after=after_revision):
            record = record_of(bucket.entry(stored))
            if record is not None:
                yield Change(stored.sequence, record)

    async def records(self) -> AsyncIterator[DocumentRecord | Unreadable]:
        """Every record there is, tombstones included, in the order in which they were last changed."""
        async for stored in self._bucket.storage.every(self._bucket.stream, self._bucket.subject(">")):
            record = known_of(self._bucket.entry(stored))
            if record is not None:
                yield record

    async def known(self, documents: Iterable[DocumentKey]) -> dict[DocumentKey, DocumentRecord | Unreadable]:
        """As `get_many` for several tenants, with records that this release cannot read in their places."""
        entries = await self._bucket.get_many([_key(*document) for document in dict.fromkeys(documents)])
        records = [record for entry in entries if (record := known_of(entry)) is not None]
        return {(record.tenant, record.document_id): record for record in records}

    async def epoch(self, tenant: str) -> str:
        """What changes with every change of a tenant's documents, and never comes again."""
        newest = await self._bucket.storage.last(self._bucket.stream, self._bucket.subject(_key(tenant, ">")))
        return "" if newest is None else f"{newest.sequence} {newest.stored_at.isoformat()}"

    async def revision(self) -> int:
        """The newest revision: who has seen it in `changes` has seen all that was there."""
        return await self._bucket.storage.last_sequence(self._bucket.stream)

    async def _change_known(
        self, tenant: str, document_id: str, rule: Callable[[DocumentRecord, datetime], DocumentRecord]
    ) -> DocumentRecord:
        def known(record: DocumentRecord | None, now: datetime) -> DocumentRecord:
            if record is None:
                raise DocumentNotFoundError(f"there is no document {document_id}")
            return rule(record, now)

        return await self._change(tenant, document_id, known)

    async def _change(self, tenant: str, document_id: str, rule: Rule) -> DocumentRecord:
        key = _key(tenant, document_id)
        for attempt in range(MAX_TRIES):
            entry = await self._bucket.get(key)
            before = record_of(entry)
            after = rule(before, self._broker.clock.now())
            if after == before:
                return after
            try:
                await self._bucket.write(key, after.model_dump_json().encode(), revision=entry.revision if entry else 0)
            except StaleRevisionError:
                await asyncio.sleep(self._jitter() * min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S))
                continue
            return after
        raise LedgerContentionError(f"document {document_id} was changed by others {MAX_TRIES} times in a row")


def _key(tenant: str, document_id: str) -> str:
    return f"{tenant}.{document_id}"


__all__ = [
    "Change",
    "DocumentKey",
    "DocumentLedger",
    "DocumentNotFoundError",
    "IllegalTransitionError",
    "LedgerContentionError",
    "StreamResetError",
    "Submitted",
    "SupersededError",
    "Unreadable",
    "UnreadableRecordError",
    "record_of",
]
