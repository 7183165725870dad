"""What a generate worker does with a request, told over NATS."""

from __future__ import annotations

import time
from dataclasses import dataclass

from contracts.answers import Completed, Delta
from contracts.documents import Failure
from contracts.errors import ErrorCode, TransientError, WaggleError
from contracts.events import QueryFact
from contracts.queries import GenerateRequest
from messaging.cancellation import Cancellations, QueryCancelledError
from messaging.delivery import Delivery
from messaging.errors import AwayError
from messaging.query_replies import QueryReplies
from workers.generate.base import Answer, Generator, Piece, Prompt


@dataclass(kw_only=True)
class _Attempt:
    """One run through an answer, as its readers see it."""

    number: int
    pieces_told: int = 0


class Generating:
    """Streams an answer and ends its query.

    A redelivered request is generated again as a higher attempt, which voids the pieces of the lower ones.
    """

    def __init__(self, generator: Generator, replies: QueryReplies, cancellations: Cancellations) -> None:
        self._generator = generator
        self._replies = replies
        self._cancellations = cancellations

    async def generate(self, request: GenerateRequest, delivery: Delivery) -> None:
        """Answer a query that has not ended yet."""
        attempt = _Attempt(number=delivery.attempt)
        try:
            async with self._cancellations.watch(request.tenant, request.query_id):
                begun = time.perf_counter()
                answer = await self._stream(request, attempt)
                spent_ms = round((time.perf_counter() - begun) * 1000, 3)
            # Not watched any more: a look at how the query has ended would find this very end, and stop its telling.
            await self._complete(request, answer, {**request.timings_ms, "generate": spent_ms})
        except QueryCancelledError:
            return
        except AwayError as away:
            if attempt.pieces_told:  # readers have them; only a new delivery, a higher attempt, makes them void
                raise TransientError(f"the answer was broken off: {away}") from away
            raise
        finally:  # the pieces went out before the terminal, which does not wait until they are stored
            await self._replies.answers.flush(request.tenant, request.query_id)

    async def fail(self, request: GenerateRequest, error: WaggleError) -> None:
        """End a query that cannot be answered."""
        await self._replies.end_failed(
            request, Failure(code=ErrorCode.GENERATION_FAILED, message=f"No answer could be generated: {error}")
        )

    async def expire(self, request: GenerateRequest, _: Delivery) -> None:
        """End a query whose deadline has passed."""
        message = "The deadline passed before the answer was complete. Ask again, or allow more time."
        await self._replies.end_failed(request, Failure(code=ErrorCode.DEADLINE_EXCEEDED, message=message))

    async def _stream(self, request: GenerateRequest, attempt: _Attempt) -> Answer:
        prompt = Prompt(
            query=request.query,
            passages=request.passages,
            parameters=request.generation,
            encoder_serves_query=request.encoder_serves_query,
        )
        async for item in self._generator.generate(prompt):
            if isinstance(item, Answer):
                return item
            if request.stream:
                attempt.pieces_told += 1
                await self._replies.answers.delta(_delta(request, item, id=f"{attempt.number}.{attempt.pieces_told}"))
        raise RuntimeError(f"{type(self._generator).__name__} ended without an answer")

    async def _complete(self, request: GenerateRequest, answer: Answer, timings_ms: dict[str, float]) -> None:
        ended = await self._replies.terminals.end(
            Completed(
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                answer=answer.text,
                answered=answer.answered,
                citations=answer.citations,
                usage=answer.usage,
                timings_ms=timings_ms,
            )
        )
        if ended:
            await self._replies.events.query(
                QueryFact.COMPLETED,
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                answered=answer.answered,
                passages=len(request.passages),
                top_score=request.passages[0].score if request.passages else None,
                citations=len(answer.citations),
                timings_ms=timings_ms,
            )


def _delta(request: GenerateRequest, piece: Piece, *, id: str) -> Delta:
    return Delta(tenant=request.tenant, query_id=request.query_id, principal=request.principal, id=id, text=piece.text)
