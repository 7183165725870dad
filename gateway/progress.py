"""`/v1/documents/{id}/events`: where a submission stands, told as it moves on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import Response

from contracts.documents import DocumentRecord, DocumentState, Generation, GenerationState
from contracts.errors import TransientError
from contracts.events import DocumentEvent, DocumentFact
from gateway import sse
from gateway.backend import Backend, Connected
from gateway.documents import DocumentId, find
from gateway.identity import Reads
from gateway.openapi import refusals, stream
from gateway.schemas import DocumentProgress, FailureView

router = APIRouter(prefix="/v1/documents", tags=["documents"])

_EVENT_OF = {
    GenerationState.SUBMITTED: DocumentFact.SUBMITTED,
    GenerationState.PLANNED: DocumentFact.PLANNED,
    GenerationState.READY: DocumentFact.READY,
    GenerationState.FAILED: DocumentFact.FAILED,
    GenerationState.SUPERSEDED: DocumentFact.SUPERSEDED,
}
_LAST = frozenset({DocumentFact.READY, DocumentFact.FAILED, DocumentFact.SUPERSEDED, DocumentFact.DELETED})


@router.get(
    "/{document_id}/events",
    response_class=Response,
    responses={
        200: stream(
            "submitted, planned, progress, then one of ready, failed, superseded, deleted; see DocumentProgress",
            example='event: ready\ndata: {"document_id":"bees","name":"bees.txt","version":1,"state":"ready"}\n\n',
        ),
        **refusals(404, 422, 503),
    },
)
async def document_events(identity: Reads, backend: Connected, document_id: DocumentId) -> Response:
    """Follow the latest submission to its end. If it has ended, that is the only event."""
    record = await find(backend, identity.tenant, document_id)
    followed = _Followed(backend, record)
    return sse.EventStream(
        followed.events(),
        stopping=backend.drain.begun,
        keepalive_s=backend.limits.stream_keepalive_s,
        retry_ms=backend.limits.stream_retry_ms,
    )


class _Followed:
    """The latest submission of a document at the time of asking."""

    def __init__(self, backend: Backend, record: DocumentRecord) -> None:
        self._backend = backend
        self._tenant = record.tenant
        self._document_id = record.document_id
        self._submission = record.latest

    async def events(self) -> AsyncIterator[bytes]:
        with self._backend.facts.watching(self._tenant, self._document_id) as queue:
            told: DocumentFact | None = None
            while told not in _LAST:
                news = await self._look()
                if news is not None and news[0] is not told:
                    told = news[0]
                    yield _encoded(*news)
                while told not in _LAST and (event := await self._next(queue)) is not None:
                    yield _encoded(DocumentFact.PROGRESS, self._counted(event))

    async def _next(self, queue: asyncio.Queue[DocumentEvent]) -> DocumentEvent | None:
        """The next count of finished batches; None when it is time to look at the ledger again."""
        try:
            async with asyncio.timeout(self._backend.limits.ledger_poll_s):
                event = await queue.get()
        except TimeoutError:
            return None
        ours = event.generation == self._submission.generation
        return event if ours and event.fact is DocumentFact.PROGRESS else None

    async def _look(self) -> tuple[DocumentFact, DocumentProgress] | None:
        """What the ledger says; None while the broker is away."""
        try:
            record = await self._backend.ledger.get(self._tenant, self._document_id)
            if record is None or record.deleted:
                return DocumentFact.DELETED, self._state(DocumentState.DELETED, self._submission)
            known = record.generation(self._submission.generation)
            if known is None or known.state is GenerationState.SUPERSEDED:
                return DocumentFact.SUPERSEDED, self._state(record.state, known or self._submission)
            done = await self._backend.batches.count(known.generation) if known.plan else None
            return _EVENT_OF[known.state], self._state(record.state, known, done)
        except TransientError:
            return None

    def _state(self, state: DocumentState, known: Generation, done: int | None = None) -> DocumentProgress:
        plan, failure = known.plan, known.failure
        if known.state is GenerationState.READY and plan:
            done = plan.batches  # their keys are cleared at the flip
        return DocumentProgress(
            document_id=self._document_id,
            name=known.name,
            version=known.version,
            state=state,
            batches_done=done,
            batches=plan.batches if plan else None,
            chunks=plan.chunks if plan else None,
            failure=FailureView(code=failure.code, message=failure.message) if failure else None,
        )

    def _counted(self, event: DocumentEvent) -> DocumentProgress:
        return DocumentProgress(
            document_id=self._document_id,
            name=event.name or self._submission.name,
            version=event.version,
            state=DocumentState.PROCESSING,
            batches_done=event.batches_done,
            batches=event.batches,
            chunks=event.chunks,
        )


def _encoded(fact: DocumentFact, progress: DocumentProgress) -> bytes:
    return sse.encode(fact, progress.model_dump_json(exclude_none=True))
