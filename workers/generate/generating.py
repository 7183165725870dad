"""What a generate worker does with a request, told over NATS."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass

from contracts.answers import Completed, Delta
from contracts.documents import Failure
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.queries import GenerateRequest
from messaging.cancellation import Cancellations, QueryCancelledError
from messaging.delivery import Delivery
from messaging.errors import AwayError
from messaging.query_replies import QueryReplies
from messaging.requeueing import attempt_of
from messaging.stage_durations import StageDurations
from workers.generate.base import Answer, Generator, Piece, Prompt
from workers.generate.measures import Measures


@dataclass(kw_only=True)
class _Attempt:
    """One run through an answer, as its readers see it."""

    number: int
    pieces_told: int = 0
    began_to_write: float | None = None

    def wrote(self) -> None:
        """A piece of the answer has come; the first one counts."""
        if self.began_to_write is None:
            self.began_to_write = time.perf_counter()

    @property
    def writing_s(self) -> float:
        """Since the first piece."""
        return 0.0 if self.began_to_write is None else time.perf_counter() - self.began_to_write


class Generating:
    """Streams an answer and ends its query.

    A redelivered request, or one put into its queue anew, is generated again as a higher attempt, which voids the pieces of the lower ones.
    """

    def __init__(
        self,
        generator: Generator,
        replies: QueryReplies,
        cancellations: Cancellations,
        measures: Measures,
        durations: StageDurations,
    ) -> None:
        self._generator = generator
        self._replies = replies
        self._cancellations = cancellations
        self._measures = measures
        self._durations = durations

    async def generate(self, request: GenerateRequest, delivery: Delivery) -> None:
        """Answer a query that has not ended yet."""
        attempt = _Attempt(number=attempt_of(delivery))
        try:
            async with self._cancellations.watch(request.tenant, request.query_id):
                begun = time.perf_counter()
                answer = await self._stream(request, attempt)
                spent_ms, writing_s = round((time.perf_counter() - begun) * 1000, 3), round(attempt.writing_s, 6)
            # Not watched any more: a look at how the query has ended would find this very end, and stop its telling.
            timings_ms = {**request.timings_ms, "generate": spent_ms}
            await self._complete(request, answer, timings_ms, writing_s=writing_s)
        except QueryCancelledError:
            return
        except AwayError as away:
            if attempt.pieces_told:  # readers have them; only a new delivery, a higher attempt, makes them void
                raise TransientError(f"the answer was broken off: {away}") from away
            raise
        finally:  # the pieces went out before the terminal, which does not wait until they are stored
            await self._replies.answers.flush(request.tenant, request.query_id)

    async def fail(self, request: GenerateRequest, error: PermanentError) -> None:
        """End a query that cannot be answered."""
        failure = Failure(code=ErrorCode.GENERATION_FAILED, message=f"No answer could be generated: {error}")
        await self._replies.end_failed(request, failure, retryable=error.retryable)

    async def expire(self, request: GenerateRequest, _: Delivery) -> None:
        """End a query whose deadline has passed."""
        message = "The deadline passed before the answer was complete. Ask again, or allow more time."
        failure = Failure(code=ErrorCode.DEADLINE_EXCEEDED, message=message)
        await self._replies.end_failed(request, failure, retryable=True)

    async def _stream(self, request: GenerateRequest, attempt: _Attempt) -> Answer:
        prompt = Prompt(
            query=request.query,
            passages=request.passages,
            parameters=request.generation,
            encoder_serves_query=request.encoder_serves_query,
            messages=request.messages,
            standalone=request.standalone,
        )
        generator = self._generator
        with self._measures.generation(generator.identity) as generation:
            async with aclosing(generator.generate(prompt)) as items:  # whoever stops here stops the generator, too
                async for item in items:
                    if isinstance(item, Answer):
                        generation.ended(item)
                        return item
                    generation.spoke()
                    attempt.wrote()
                    if request.stream:
                        attempt.pieces_told += 1
                        delta = _delta(request, item, id=f"{attempt.number}.{attempt.pieces_told}")
                        await self._replies.answers.delta(delta)
        raise RuntimeError(f"{type(self._generator).__name__} ended without an answer")

    async def _complete(
        self, request: GenerateRequest, answer: Answer, timings_ms: dict[str, float], *, writing_s: float
    ) -> None:
        identity = self._generator.identity
        completed = Completed(
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            answer=answer.text,
            answered=answer.answered,
            citations=answer.citations,
            model=identity.model,
            prompt_version=identity.prompt_version,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            timings_ms=timings_ms,
        )
        if await self._replies.end_completed(completed, request.passages, writing_s=writing_s):
            self._measures.answered(identity, answer)
            self._durations.record({"generate": timings_ms["generate"]})


def _delta(request: GenerateRequest, piece: Piece, *, id: str) -> Delta:
    return Delta(tenant=request.tenant, query_id=request.query_id, principal=request.principal, id=id, text=piece.text)
