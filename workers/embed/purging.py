"""Deletes the rows of generations that nobody may see any more, when nobody needs them any more."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.documents import DocumentRecord, GenerationState, PurgeRequest
from contracts.errors import ErrorCode, NotYetError, PermanentError, TransientError
from contracts.events import DocumentFact
from contracts.queries import READ_ON_S
from messaging.caching.base import Cache
from messaging.clock import BrokerClock
from messaging.document_letters import DocumentLetters
from messaging.events import Events
from messaging.ledger import DocumentLedger
from messaging.uploads import Uploads
from workers.indexing.base import VectorIndex

KEPT_S = READ_ON_S
"""How long the rows of a superseded generation stay: every question that was under way has ended by then."""


class Purging:
    """Carries out purge requests. Repeating one is harmless.

    A request that is too early goes back to the broker with the remaining time as its delay: one delivery, whatever
    the time, and it survives every process.
    """

    def __init__(
        self,
        ledger: DocumentLedger,
        uploads: Uploads,
        events: Events,
        index: VectorIndex,
        clock: BrokerClock,
        letters: DocumentLetters,
        cache: Cache,
        *,
        kept_s: float = KEPT_S,
    ) -> None:
        self._ledger = ledger
        self._uploads = uploads
        self._events = events
        self._index = index
        self._clock = clock
        self._letters = letters
        self._cache = cache
        self._kept = timedelta(seconds=kept_s)

    async def purge(self, request: PurgeRequest) -> int:
        """Delete the rows and return how many there were.

        Raises `NotYetError` when it is too early, `TransientError` when rows are left, and `PermanentError` for a
        generation that the ledger does not say is over: its rows stay.
        """
        record = await self._ledger.get(request.tenant, request.document_id)
        if record is None:
            raise PermanentError(
                f"the ledger knows no document {request.document_id}: rows are deleted only for what it says is over"
            )
        self._require_over(request, record)
        removed = await self._remove(request)
        state = _state(request, record)
        if record.deleted or state is not GenerationState.FAILED:  # what failed may be read and tried again
            await self._uploads.delete(request.tenant, request.document_id, request.generation)
        if record.deleted:
            await self._letters.remove(request.tenant, request.document_id)
            await self._cache.clear(request.tenant)  # which answers hold a part of its text is not known
        await self._events.document(DocumentFact.PURGED, record, request.generation)
        return removed

    def _require_over(self, request: PurgeRequest, record: DocumentRecord) -> None:
        if record.deleted:
            return
        if request.generation in (record.visible_generation, record.pending_generation):
            raise PermanentError(f"generation {request.generation} is in use: its rows stay")
        known = record.generation(request.generation)
        if known is None:  # it was forgotten, at the latest when the latest one was submitted
            self._require_time(record.latest.submitted_at + self._kept)
        elif known.state is GenerationState.SUPERSEDED:
            self._require_time(known.updated_at + self._kept)

    def _require_time(self, over_at: datetime) -> None:
        remaining_s = (over_at - self._clock.now()).total_seconds()
        if remaining_s > 0:
            raise NotYetError("questions under way may still need these rows", retry_after_s=remaining_s)

    async def _remove(self, request: PurgeRequest) -> int:
        names = (request.tenant, request.document_id, request.generation)
        removed = await self._index.delete_generation(*names)
        left = await self._index.count_generation(*names)
        if left:
            raise TransientError(
                f"{left} rows are left of generation {request.generation}", code=ErrorCode.INDEX_COUNT_MISMATCH
            )
        return removed


def _state(request: PurgeRequest, record: DocumentRecord) -> GenerationState | None:
    known = record.generation(request.generation)
    return known.state if known else None
