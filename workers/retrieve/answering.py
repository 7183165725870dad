"""What a retrieve worker does with a question, told over NATS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from contracts import subjects, topology
from contracts.answers import Completed, Delta, Retrieved
from contracts.documents import Failure
from contracts.errors import ErrorCode, PermanentError
from contracts.events import QueryEvent, QueryFact
from contracts.queries import DEFAULT_DEADLINE_S, GenerateRequest, QueryRequest
from messaging.cancellation import Cancellations, QueryCancelledError
from messaging.delivery import Delivery
from messaging.query_replies import QueryReplies
from messaging.stage_durations import StageDurations
from observability.stages import stage
from workers.retrieve.conversations import CONDENSE_SKIPPED, Conversations
from workers.retrieve.known_answers import STABLE, KnownAnswer, KnownAnswers
from workers.retrieve.searcher import Found, Searcher


class Answering:
    """Searches, tells what was found, and hands over to generation or finishes.

    Everything is published under ids that are the same on a redelivery, so a repeated question changes nothing.
    """

    def __init__(
        self,
        searcher: Searcher,
        conversations: Conversations,
        known_answers: KnownAnswers,
        replies: QueryReplies,
        cancellations: Cancellations,
        durations: StageDurations,
    ) -> None:
        self._searcher = searcher
        self._conversations = conversations
        self._known_answers = known_answers
        self._replies = replies
        self._cancellations = cancellations
        self._durations = durations

    async def answer(self, request: QueryRequest, delivery: Delivery) -> None:
        """Answer a question that has not ended yet."""
        try:
            async with self._cancellations.watch(request.tenant, request.query_id):
                await self._accept(request, delivery)
                found, known = await self._find(request, delivery)
        except QueryCancelledError:
            return
        # Not watched: a look at how it has ended would find this very end.
        await self._tell(request, found, known, delivery)

    async def fail(self, request: QueryRequest, error: PermanentError) -> None:
        """End a question that cannot be searched for."""
        failure = Failure(code=ErrorCode.RETRIEVAL_FAILED, message=f"The search failed: {error}")
        await self._replies.end_failed(request, failure, retryable=error.retryable)

    async def expire(self, request: QueryRequest, _: Delivery) -> None:
        """End a question whose deadline has passed before it was searched for."""
        message = "The deadline passed before the documents were searched. Ask again, or allow more time."
        failure = Failure(code=ErrorCode.DEADLINE_EXCEEDED, message=message)
        await self._replies.end_failed(request, failure, retryable=True)

    async def _accept(self, request: QueryRequest, delivery: Delivery) -> None:
        """Tell the keeper which query this is, if the broker could not: its publisher left the id out of the headers."""
        if subjects.HEADER_QUERY_ID in delivery.headers:
            return
        budget_ms = round(1000 * self._left_s(delivery))
        event_id = f"query.{request.tenant}.{request.query_id}.{QueryFact.ACCEPTED}"
        await self._replies.broker.publish(
            subjects.query_event(QueryFact.ACCEPTED, request.tenant),
            QueryEvent(
                id=event_id,
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                fact=QueryFact.ACCEPTED,
            ),
            stream=topology.EVENTS,
            message_id=event_id,
            headers={
                subjects.HEADER_QUERY_ID: request.query_id,
                subjects.HEADER_BUDGET_MS: str(max(1, budget_ms)),
            },
        )

    async def _find(self, request: QueryRequest, delivery: Delivery) -> tuple[Found, KnownAnswer | None]:
        """What is found, and the answer if it was given before."""
        begun = time.perf_counter()
        epoch = await self._known_answers.epoch(request)
        if epoch is None:
            return await self._search(request, delivery), None
        with stage("cache"):
            known = await self._known_answers.at_once(request, epoch)
        if known is not None:
            return replace(known.found, timings_ms={"cache": _ms_since(begun)}), known
        found = await self._search(request, delivery)
        begun = time.perf_counter()
        with stage("cache"):
            known = await self._known_answers.for_passages(request, epoch, found, left_s=self._left_s(delivery))
        return replace(found, timings_ms={**found.timings_ms, "cache": _ms_since(begun)}), known

    def _left_s(self, delivery: Delivery) -> float:
        left_s = delivery.remaining_s(self._replies.broker.clock)
        return DEFAULT_DEADLINE_S if left_s is None else left_s

    async def _search(self, request: QueryRequest, delivery: Delivery) -> Found:
        """Search for the question itself, or for what it means in its conversation."""
        begun = time.perf_counter()
        with stage("condense") if request.messages else nullcontext():
            standalone = await self._conversations.standalone(request, left_s=self._left_s(delivery))
        if standalone is None:
            return await self._searcher.search(request, left_s=self._left_s(delivery))
        spent = {"condense": _ms_since(begun)} | ({} if standalone.by_model else {CONDENSE_SKIPPED: 1.0})
        question = request.model_copy(update={"query": standalone.query})
        found = await self._searcher.search(question, left_s=self._left_s(delivery))
        return replace(found, searched_for=standalone.query, timings_ms={**spent, **found.timings_ms})

    async def _tell(self, request: QueryRequest, found: Found, known: KnownAnswer | None, delivery: Delivery) -> None:
        passages, onward = self._tell_passages(request, found), self._go_on(request, found, known, delivery)
        # Both are on their way before the broker has answered the first. The next worker is what the answer waits for;
        # an end has to come after its passages.
        self._durations.record(found.timings_ms)
        hands_over = request.generate and known is None
        await _together(*((onward, passages) if hands_over else (passages, onward)))
        await self._replies.events.query(
            QueryFact.RETRIEVED,
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            passages=len(found.passages),
            top_score=found.passages[0].score if found.passages else None,
            timings_ms=found.timings_ms,
        )

    async def _go_on(self, request: QueryRequest, found: Found, known: KnownAnswer | None, delivery: Delivery) -> None:
        if known is not None:
            await self._answer_again(request, found, known, delivery)
        elif not request.generate:
            await self._finish(request, found)
        else:
            try:
                await self._hand_over(request, found, delivery)
            except BaseException:
                self._known_answers.forget(request)
                raise

    async def _answer_again(self, request: QueryRequest, found: Found, known: KnownAnswer, delivery: Delivery) -> None:
        """End with an answer that was given before; those who read it piece by piece get one piece."""
        tenant, query_id, principal = request.tenant, request.query_id, request.principal
        if request.stream:
            piece = Delta(
                tenant=tenant, query_id=query_id, principal=principal, id=f"{delivery.attempt}.1", text=known.answer
            )
            await self._replies.answers.delta(piece)
            await self._replies.answers.flush(tenant, query_id)
        completed = Completed(
            tenant=tenant,
            query_id=query_id,
            principal=principal,
            answer=known.answer,
            answered=known.answered,
            citations=known.citations,
            model=known.model,
            prompt_version=known.prompt_version,
            finish_reason="stop",
            cached=True,
            timings_ms=found.timings_ms,
        )
        await self._replies.end_completed(completed, found.passages, writing_s=0.0)

    async def _tell_passages(self, request: QueryRequest, found: Found) -> None:
        await self._replies.answers.retrieved(
            Retrieved(
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                searched_for=found.searched_for,
                passages=found.passages,
                timings_ms=found.timings_ms,
            )
        )

    async def _hand_over(self, request: QueryRequest, found: Found, delivery: Delivery) -> None:
        if delivery.deadline is None:
            raise RuntimeError("a question has a deadline: the consumer of QUERY gives one")
        await self._replies.broker.publish(
            subjects.generate_request(request.tenant, STABLE),
            GenerateRequest(
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                query=request.query,
                messages=request.messages,
                standalone=found.searched_for,
                passages=found.passages,
                encoder_serves_query=found.encoder_serves_query,
                stream=request.stream,
                generation=request.generation,
                deadline=delivery.deadline,
                timings_ms=found.timings_ms,
            ),
            stream=topology.GENERATE,
            message_id=f"{request.tenant}.{request.query_id}",
        )

    async def _finish(self, request: QueryRequest, found: Found) -> None:
        completed = Completed(
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            timings_ms=found.timings_ms,
        )
        await self._replies.end_completed(completed, found.passages)


def _ms_since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 3)


async def _together(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> None:
    """Start `first`, then `second`, and wait for both. Raises what the first of them to fail raises; neither outlives this."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
