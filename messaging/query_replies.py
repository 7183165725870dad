"""Where the workers of a question reply, and how they end one that gets no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.answers import Completed, Failed
from contracts.documents import Failure
from contracts.events import QueryFact
from contracts.queries import GenerateRequest, QueryRequest, RetrievedPassage
from messaging.answers import AnswerPublisher
from messaging.broker import Broker
from messaging.events import Events
from messaging.terminals import Terminals


@dataclass(frozen=True, kw_only=True)
class QueryReplies:
    """Progress, ends and facts of queries, over one broker."""

    broker: Broker
    answers: AnswerPublisher
    terminals: Terminals
    events: Events

    @classmethod
    def over(cls, broker: Broker) -> QueryReplies:
        return cls(broker=broker, answers=AnswerPublisher(broker), terminals=Terminals(broker), events=Events(broker))

    async def end_completed(
        self, completed: Completed, passages: Sequence[RetrievedPassage], *, writing_s: float | None = None
    ) -> bool:
        """End a query well and tell it; False when it had ended before. Raises `BrokerUnavailableError`.

        `writing_s` is the time from the first piece of the answer to its end, where there is an answer.
        """
        if not await self.terminals.end(completed):
            return False
        generated = completed.answer is not None
        await self.events.query(
            QueryFact.COMPLETED,
            tenant=completed.tenant,
            query_id=completed.query_id,
            principal=completed.principal,
            answered=completed.answered if generated else None,
            passages=len(passages),
            top_score=passages[0].score if passages else None,
            citations=len(completed.citations) if generated else None,
            timings_ms=completed.timings_ms,
            writing_s=writing_s,
            cached=completed.cached if generated else None,
            usage=completed.usage if generated else None,
        )
        return True

    async def end_failed(self, request: QueryRequest | GenerateRequest, failure: Failure, *, retryable: bool) -> None:
        """End a query with a reason, and whether asking the same again may help, and tell it once.

        Raises `BrokerUnavailableError`; the query may then have ended, and repeating this is harmless.
        """
        failed = Failed(
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            code=failure.code,
            message=failure.message,
            retryable=retryable,
        )
        if await self.terminals.end(failed):
            await self.events.query(
                QueryFact.FAILED,
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                failure=failure,
            )
