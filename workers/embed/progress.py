"""What the ledger says about a batch, and what a finished batch says to the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from enum import Enum, auto

from contracts.documents import DocumentRecord, EmbedRequest, Failure, GenerationState
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.events import DocumentFact
from messaging.broker import Broker
from messaging.document_failures import DocumentFailures, request_purge
from messaging.events import Events
from messaging.generations import IllegalTransitionError, SupersededError
from messaging.ledger import DocumentKey, DocumentLedger
from messaging.succession import replaced_by
from workers.indexing.base import VectorIndex


class Standing(Enum):
    """Where a batch stands in the ledger."""

    CURRENT = auto()  # its plan is the pending generation's
    FINISHED = auto()  # its generation is visible: a repeat, but what follows the flip may have been cut off
    VOID = auto()  # deleted, superseded or failed: its rows must not stay
    FOREIGN = auto()  # of another plan than the recorded one: nothing of it may be written


class Progress:
    """Follows generations from their batches to the flip. Every step bears repetition."""

    def __init__(
        self, broker: Broker, ledger: DocumentLedger, events: Events, index: VectorIndex, *, kept_s: float
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._events = events
        self._index = index
        self._kept = timedelta(seconds=kept_s)

    async def records(self, requests: Iterable[EmbedRequest]) -> dict[DocumentKey, DocumentRecord]:
        """The ledger records of the requests' documents, one read per tenant."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for request in requests:
            wanted[request.tenant].add(request.document_id)
        return {
            (tenant, document_id): record
            for tenant, ids in wanted.items()
            for document_id, record in (await self._ledger.get_many(tenant, sorted(ids))).items()
        }

    async def settle(self, request: EmbedRequest, record: DocumentRecord | None, *, written: bool) -> None:
        """Draw the consequence of what the ledger says; `written`: this process has just written the rows."""
        match standing(request, record):
            case Standing.CURRENT if record is not None:
                await self.finish(request, record)
            case Standing.FINISHED:
                await self.flip(request)
            case Standing.VOID if written or (record is not None and not self._may_be_needed(request, record)):
                await self.remove_rows(request)

    def _may_be_needed(self, request: EmbedRequest, record: DocumentRecord) -> bool:
        """Whether questions under way may still read the generation; its purge request is on its way then."""
        known = record.generation(request.generation)
        superseded = known is not None and known.state is GenerationState.SUPERSEDED and not record.deleted
        return superseded and known is not None and self._broker.clock.now() < known.updated_at + self._kept

    async def finish(self, request: EmbedRequest, record: DocumentRecord) -> None:
        """Count a batch whose rows are in the index; the last one makes its generation visible.

        Raises `TransientError` when the index does not hold all chunks of the plan.
        """
        known = record.generation(request.generation)
        if known is None or known.plan is None:
            return
        done = await self._ledger.batch_done(
            request.tenant, request.document_id, request.generation, request.batch, known.plan.batches
        )
        await self._events.document(DocumentFact.PROGRESS, record, request.generation, batches_done=done)
        if done == known.plan.batches:
            await self._require_rows(request, known.plan.chunks)
            await self.flip(request)

    async def flip(self, request: EmbedRequest) -> None:
        """Make the generation visible, tell it, and have what it replaced purged. A void one loses its rows instead."""
        try:
            record = await self._ledger.ready(request.tenant, request.document_id, request.generation)
        except (SupersededError, IllegalTransitionError):
            await self.remove_rows(request)
            return
        await self._events.document(DocumentFact.READY, record, request.generation)
        for generation in replaced_by(record, request.generation):
            await self._events.document(DocumentFact.SUPERSEDED, record, generation)
            await request_purge(self._broker, request.tenant, request.document_id, generation)

    async def fail(self, request: EmbedRequest, error: PermanentError) -> None:
        """End the generation of a request that is given up, and have its rows purged."""
        failures = DocumentFailures(self._broker, self._ledger, self._events)
        await failures.fail(request, Failure(code=error.code, message=str(error)))

    async def remove_rows(self, request: EmbedRequest) -> None:
        await self._index.delete_generation(request.tenant, request.document_id, request.generation)

    async def _require_rows(self, request: EmbedRequest, expected: int) -> None:
        found = await self._index.count_generation(request.tenant, request.document_id, request.generation)
        if found != expected:
            raise TransientError(
                f"the index holds {found} of the {expected} chunks of document {request.document_id}",
                code=ErrorCode.INDEX_COUNT_MISMATCH,
            )


def standing(request: EmbedRequest, record: DocumentRecord | None) -> Standing:
    """Judge a batch by its document's record.

    Only positive evidence makes a batch void. A record or plan that is not there (yet: reads may lag behind writes)
    raises `TransientError`.
    """
    if record is None:
        raise TransientError(f"the ledger has no record of document {request.document_id} yet")
    known = record.generation(request.generation)
    if record.deleted or known is None:  # a generation is only ever forgotten when it has ended
        return Standing.VOID
    if known.state is GenerationState.SUBMITTED:
        raise TransientError(f"generation {request.generation} of document {request.document_id} has no plan yet")
    if request.generation not in (record.pending_generation, record.visible_generation):
        return Standing.VOID
    if known.plan is None or known.plan.plan_id != request.plan_id:
        return Standing.FOREIGN
    return Standing.CURRENT if record.pending_generation == request.generation else Standing.FINISHED
