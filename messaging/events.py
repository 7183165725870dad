"""Tells life-cycle facts, once they are true, under ids that are the same however often they are told."""

from __future__ import annotations

from contracts import subjects, topology
from contracts.answers import Usage
from contracts.documents import DocumentRecord, Failure
from contracts.events import DocumentEvent, DocumentFact, QueryEvent, QueryFact
from contracts.identifiers import ANONYMOUS
from messaging.broker import Broker


class Events:
    """Publishes to the stream EVENTS. Consumers drop repeats by `id`; within minutes the stream does it itself.

    Raises what `Broker.publish` raises; telling again is always right.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def document(
        self,
        fact: DocumentFact,
        record: DocumentRecord,
        generation: str,
        *,
        batches_done: int | None = None,
        principal: str | None = None,
    ) -> None:
        """A fact about one generation; what is told of it comes from its record. One that is forgotten is not told."""
        event = document_event(fact, record, generation, batches_done=batches_done, principal=principal)
        if event is not None:
            await self.tell(event)

    async def query(
        self,
        fact: QueryFact,
        *,
        tenant: str,
        query_id: str,
        principal: str = ANONYMOUS,
        answered: bool | None = None,
        passages: int | None = None,
        top_score: float | None = None,
        citations: int | None = None,
        failure: Failure | None = None,
        timings_ms: dict[str, float] | None = None,
        writing_s: float | None = None,
        cached: bool | None = None,
        usage: Usage | None = None,
    ) -> None:
        """A fact about a query."""
        await self.tell(
            QueryEvent(
                id=f"query.{tenant}.{query_id}.{fact}",
                tenant=tenant,
                query_id=query_id,
                principal=principal,
                fact=fact,
                answered=answered,
                passages=passages,
                top_score=top_score,
                citations=citations,
                failure=failure,
                timings_ms=timings_ms or {},
                writing_s=writing_s,
                cached=cached,
                prompt_tokens=usage.prompt_tokens if usage else None,
                completion_tokens=usage.completion_tokens if usage else None,
            )
        )

    async def tell(self, event: DocumentEvent | QueryEvent) -> None:
        """Publish an event as it is."""
        await self._broker.publish(_subject(event), event, stream=topology.EVENTS, message_id=event.id)


def document_event(
    fact: DocumentFact,
    record: DocumentRecord,
    generation: str,
    *,
    batches_done: int | None = None,
    principal: str | None = None,
) -> DocumentEvent | None:
    """The event of a fact, or None when the record has forgotten the generation."""
    known = record.generation(generation)
    if known is None:
        return None
    step = "" if batches_done is None else f".{batches_done}"
    return DocumentEvent(
        id=f"document.{record.tenant}.{record.document_id}.{generation}.{fact}{step}",
        tenant=record.tenant,
        document_id=record.document_id,
        generation=generation,
        principal=principal or known.principal,
        version=known.version,
        fact=fact,
        name=known.name,
        batches_done=batches_done,
        batches=known.plan.batches if known.plan else None,
        chunks=known.plan.chunks if known.plan else None,
        failure=known.failure,
    )


def _subject(event: DocumentEvent | QueryEvent) -> str:
    if isinstance(event, DocumentEvent):
        return subjects.document_event(event.fact, event.tenant)
    return subjects.query_event(event.fact, event.tenant)
