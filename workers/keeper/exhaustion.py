"""Ends messages that were handed out as often as they may be, each time without an answer."""

from __future__ import annotations

import structlog

from contracts import topology
from contracts.advisories import DeliveryAdvisory
from contracts.documents import EmbedRequest, Failure, IngestRequest
from contracts.errors import ErrorCode, PermanentError
from contracts.queries import GenerateRequest, QueryRequest
from messaging.attempts import Attempts
from messaging.broker import Broker
from messaging.deadletters import DeadLetters
from messaging.delivery import Delivery
from messaging.document_failures import DocumentFailures
from messaging.events import Events
from messaging.ledger import DocumentLedger
from messaging.query_replies import QueryReplies
from messaging.storage import Storage, Stored
from messaging.work import work_in

_WORK_QUEUES = frozenset(s.name for s in topology.STREAMS if s.retention is topology.Retention.WORK_QUEUE)
_QUERY_CODES = {
    topology.QUERY.name: ErrorCode.RETRIEVAL_FAILED,
    topology.GENERATE.name: ErrorCode.GENERATION_FAILED,
}

log = structlog.get_logger(__name__)


class Exhaustion:
    """Does for a message what its worker would have done, had it lived: its document or query ends failed, then its
    letter is written, then it is removed. Every step bears repetition, and any number of keepers may do it at once.
    """

    def __init__(self, broker: Broker) -> None:
        self._storage = Storage(broker)
        self._letters = DeadLetters(broker)
        self._attempts = Attempts(broker)
        self._failures = DocumentFailures(broker, DocumentLedger(broker), Events(broker))
        self._replies = QueryReplies.over(broker)

    async def end(self, advisory: DeliveryAdvisory) -> None:
        """End the message that an advisory is about, if it still lies in its queue."""
        if not advisory.exhausted or advisory.stream not in _WORK_QUEUES:
            return
        stored = await self._storage.at(advisory.stream, advisory.stream_seq)
        if stored is None or stored.stored_at > advisory.timestamp:
            return  # acknowledged after all, or ended by another keeper; or the stream is another one by now
        delivery = Delivery.of_stored(
            stored, stream=advisory.stream, consumer=advisory.consumer, attempt=advisory.deliveries
        )
        reason = f"{advisory.deliveries} attempts ended without an answer: the process died or was cut off each time"
        await self._end(stored, delivery, reason, attempts=advisory.deliveries)

    async def end_stranded(self, stored: Stored, consumer: topology.Consumer, reason: str) -> None:
        """End a message that is delivered no more although no advisory said so, if it still lies in its queue.

        How often it was handed out is known by the record of its attempts alone.
        """
        stream = consumer.stream.name
        if not await self._storage.holds(stream, stored):
            return
        delivery = Delivery.of_stored(stored, stream=stream, consumer=consumer.durable, attempt=consumer.max_deliver)
        await self._end(stored, delivery, reason, attempts=max(1, await self._attempts.made(delivery)))

    async def _end(self, stored: Stored, delivery: Delivery, reason: str, *, attempts: int) -> None:
        stream, consumer = delivery.stream, delivery.consumer
        error = PermanentError(reason, code=ErrorCode.RETRIES_EXHAUSTED)
        await self._tell(stored, stream, error)
        await self._letters.put(delivery, stored.data, error, attempts=attempts)
        await self._storage.remove(stream, stored.sequence)
        log.error("dead-lettered", consumer=consumer, tenant=delivery.tenant, sequence=stored.sequence)

    async def _tell(self, stored: Stored, stream: str, error: PermanentError) -> None:
        work = work_in(stored.subject, stored.data)
        try:
            if isinstance(work, IngestRequest | EmbedRequest):
                await self._failures.fail(work, Failure(code=error.code, message=str(error)))
            elif isinstance(work, QueryRequest | GenerateRequest):
                failure = Failure(code=_QUERY_CODES[stream], message=str(error))
                await self._replies.end_failed(work, failure, retryable=error.retryable)
        except PermanentError as refusal:  # no repetition will change that, and the letter must not wait for it
            log.error("nobody to tell of a dead letter", sequence=stored.sequence, reason=str(refusal))  # noqa: TRY400
