"""Accepted documents on which nobody works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from contracts import subjects, topology
from contracts.documents import DocumentRecord, Failure, Generation, IngestRequest
from contracts.errors import ErrorCode, WaggleError
from contracts.identifiers import DEFAULT_TENANT, TOKEN
from contracts.reconciliation import ReconcileEvent, Remedy
from messaging.batches import FinishedBatches
from messaging.clock import BrokerClock
from messaging.document_failures import DocumentFailures
from messaging.ledger import DocumentLedger, Unreadable
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.work import work_in
from workers.keeper.reconciliation.finding import MOST_FINDINGS, Finding, Rhythm

MOST_REDRIVES = 5
"""How often ingest is asked again, without any progress in between, before the document ends failed."""


@dataclass(frozen=True)
class _Asked:
    """How often ingest was asked for a generation again, and how many batches were finished then."""

    times: int
    batches_done: int


class StalledDocuments:
    """Finds pending generations of which no message is left in a queue. A document that only waits is none.

    One that is being read or waits for it has its request in INGEST. Once that is gone all its batches were stored in
    EMBED: up to the sequence at which that queue ends then. When its oldest batch lies beyond, none of them is left; but
    batches may be put into that queue anew, which reconcilers tell.
    """

    name = "documents"

    def __init__(
        self,
        storage: Storage,
        ledger: DocumentLedger,
        submissions: Submissions,
        failures: DocumentFailures,
        clock: BrokerClock,
        batches: FinishedBatches,
        rhythm: Rhythm,
    ) -> None:
        self._storage = storage
        self._ledger = ledger
        self._submissions = submissions
        self._failures = failures
        self._clock = clock
        self._batches = batches
        self._rhythm = rhythm
        self.interval_s = rhythm.pause_s
        self._asked: dict[str, _Asked] = {}
        self._batches_end: dict[str, int] = {}
        self._queue_made_at: datetime | None = None
        self._heard = 0

    async def find(self) -> Sequence[Finding]:
        suspects, unreadable = await self._sorted()
        known = {pending.generation for _, pending in suspects}
        self._asked = {name: asked for name, asked in self._asked.items() if name in known}
        if suspects:
            queued = await self._requested()
            suspects = [(record, pending) for record, pending in suspects if pending.generation not in queued]
        names = {pending.generation for _, pending in suspects}
        planned = {pending.generation for _, pending in suspects if pending.plan is not None}
        stalled = names - planned | await self._without_batches(planned)
        amiss = [(record, pending) for record, pending in suspects if pending.generation in stalled]
        found = [await self._finding(record, pending) for record, pending in amiss[:MOST_FINDINGS]]
        return [*(_unreadable(record) for record in unreadable[:MOST_FINDINGS]), *found]

    async def _sorted(self) -> tuple[list[tuple[DocumentRecord, Generation]], list[Unreadable]]:
        """Records about whose pending generation nothing was written lately, and those that cannot be read."""
        suspects, unreadable = list[tuple[DocumentRecord, Generation]](), list[Unreadable]()
        async for record in self._ledger.records():
            if isinstance(record, Unreadable):
                unreadable.append(record)
            elif (pending := self._suspect(record)) is not None:
                suspects.append((record, pending))
        return suspects, unreadable

    async def _without_batches(self, names: set[str]) -> set[str]:
        """Those of which no batch is left in EMBED."""
        if not names:
            self._batches_end.clear()
            return set()
        made_at = await self._storage.created_at(topology.EMBED.name)
        if await self._batches_moved() or made_at != self._queue_made_at:  # its sequences begin anew
            self._queue_made_at = made_at
            self._batches_end.clear()
        end = await self._storage.last_sequence(topology.EMBED.name)
        self._batches_end = {name: self._batches_end.get(name, end) for name in names}
        oldest = await self._storage.following(topology.EMBED.name, f"{subjects.EMBED_REQUESTS}.*", limit=1)
        if not oldest:
            return names
        return {name for name in names if self._batches_end[name] < oldest[0].sequence}

    async def _batches_moved(self) -> bool:
        """Whether any batch was put into its queue anew since this was asked last."""
        moved, told = False, subjects.reconcile_event(Remedy.REDRIVE, "*")
        async for stored in self._storage.every(topology.EVENTS.name, told, after=self._heard):
            self._heard = stored.sequence
            moved = moved or _moved_batch(stored.data)
        return moved

    def _suspect(self, record: DocumentRecord) -> Generation | None:
        """The pending generation, if nothing was written about it lately."""
        pending = record.generation(record.pending_generation) if record.pending_generation else None
        if pending is None or record.deleted or pending.updated_at > self._clock.now() - self._rhythm.settled:
            return None
        return pending

    async def _requested(self) -> set[str]:
        """The generations whose requests lie in INGEST."""
        found = set()
        async for stored in self._storage.every(topology.INGEST.name, f"{subjects.INGEST_REQUESTS}.*"):
            request = work_in(stored.subject, stored.data)
            if isinstance(request, IngestRequest):
                found.add(request.generation)
        return found

    async def _finding(self, record: DocumentRecord, pending: Generation) -> Finding:
        done = await self._batches.count(pending.generation)
        asked = self._asked.get(pending.generation, _Asked(0, done))
        if asked.batches_done != done:
            asked = _Asked(0, done)
        of = f" with {done} of {pending.plan.batches} batches done" if pending.plan else ""
        reason = f"{pending.state.value} since {pending.updated_at:%Y-%m-%d %H:%M:%S} UTC{of}, and in no queue"
        given_up = asked.times >= MOST_REDRIVES
        return Finding(
            remedy=Remedy.FAIL if given_up else Remedy.REDRIVE,
            subject=f"document {record.document_id} generation {pending.generation}",
            reason=f"{reason}; asked for {asked.times} times" if given_up else reason,
            tenant=record.tenant,
            document_id=record.document_id,
            generation=pending.generation,
            apply=partial(self._fail, record, pending) if given_up else partial(self._redrive, record, pending, asked),
        )

    async def _redrive(self, record: DocumentRecord, pending: Generation, asked: _Asked) -> None:
        self._batches_end.pop(pending.generation, None)  # new ones are coming
        if await self._submissions.resume(record):
            self._asked[pending.generation] = _Asked(asked.times + 1, asked.batches_done)

    async def _fail(self, record: DocumentRecord, pending: Generation) -> None:
        request = IngestRequest(
            tenant=record.tenant,
            document_id=record.document_id,
            generation=pending.generation,
            name=pending.name,
            sha256=pending.sha256,
        )
        failure = Failure(
            code=ErrorCode.RETRIES_EXHAUSTED,
            message=f"Work on the document was begun {MOST_REDRIVES + 1} times and never finished: submit it again.",
        )
        await self._failures.fail(request, failure)


def _moved_batch(event: bytes) -> bool:
    try:
        return ReconcileEvent.from_bytes(event).subject.startswith(f"message {topology.EMBED.name} ")
    except WaggleError:
        return True  # of a newer release: who knows


def _unreadable(record: Unreadable) -> Finding:
    return Finding(
        remedy=Remedy.HOLD,
        subject=f"the record of document {record.document_id}",
        reason=record.reason,
        tenant=record.tenant if TOKEN.fullmatch(record.tenant) else DEFAULT_TENANT,
    )
