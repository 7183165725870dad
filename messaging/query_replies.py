"""Where the workers of a question reply, and how they end one that gets no answer."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.answers import Failed
from contracts.documents import Failure
from contracts.events import QueryFact
from contracts.queries import GenerateRequest, QueryRequest
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

    async def end_failed(self, request: QueryRequest | GenerateRequest, failure: Failure) -> None:
        """End a query with a reason after which asking again may help, and tell it once.

        Raises `BrokerUnavailableError`; the query may then have ended, and repeating this is harmless.
        """
        failed = Failed(
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            code=failure.code,
            message=failure.message,
            retryable=True,
        )
        if await self.terminals.end(failed):
            await self.events.query(
                QueryFact.FAILED,
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                failure=failure,
            )
