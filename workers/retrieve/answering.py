"""What a retrieve worker does with a question, told over NATS."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from contracts import subjects, topology
from contracts.answers import Completed, Retrieved
from contracts.documents import Failure
from contracts.errors import ErrorCode, WaggleError
from contracts.events import QueryEvent, QueryFact
from contracts.queries import DEFAULT_DEADLINE_S, GenerateRequest, QueryRequest
from messaging.cancellation import Cancellations, QueryCancelledError
from messaging.delivery import Delivery
from messaging.query_replies import QueryReplies
from workers.retrieve.searcher import Found, Searcher

STABLE = "stable"
"""Every question is answered on this track unless a rollout says otherwise."""


class Answering:
    """Searches, tells what was found, and hands over to generation or finishes.

    Everything is published under ids that are the same on a redelivery, so a repeated question changes nothing.
    """

    def __init__(self, searcher: Searcher, replies: QueryReplies, cancellations: Cancellations) -> None:
        self._searcher = searcher
        self._replies = replies
        self._cancellations = cancellations

    async def answer(self, request: QueryRequest, delivery: Delivery) -> None:
        """Answer a question that has not ended yet."""
        try:
            async with self._cancellations.watch(request.tenant, request.query_id):
                await self._accept(request, delivery)
                found = await self._searcher.search(request)
        except QueryCancelledError:
            return
        await self._tell(request, found, delivery)  # not watched: a look at how it has ended would find this very end

    async def fail(self, request: QueryRequest, error: WaggleError) -> None:
        """End a question that cannot be searched for."""
        await self._replies.end_failed(
            request, Failure(code=ErrorCode.RETRIEVAL_FAILED, message=f"The search failed: {error}")
        )

    async def expire(self, request: QueryRequest, _: Delivery) -> None:
        """End a question whose deadline has passed before it was searched for."""
        message = "The deadline passed before the documents were searched. Ask again, or allow more time."
        await self._replies.end_failed(request, Failure(code=ErrorCode.DEADLINE_EXCEEDED, message=message))

    async def _accept(self, request: QueryRequest, delivery: Delivery) -> None:
        """Tell the keeper which query this is, if the broker could not: its publisher left the id out of the headers."""
        if subjects.HEADER_QUERY_ID in delivery.headers:
            return
        left_s = delivery.remaining_s(self._replies.broker.clock)
        budget_ms = round(1000 * (DEFAULT_DEADLINE_S if left_s is None else max(left_s, 0.001)))
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

    async def _tell(self, request: QueryRequest, found: Found, delivery: Delivery) -> None:
        passages, onward = self._tell_passages(request, found), self._go_on(request, found, delivery)
        # Both are on their way before the broker has answered the first. The next worker is what the answer waits for;
        # the end of a search has to come after its passages.
        await _together(*((onward, passages) if request.generate else (passages, onward)))
        await self._replies.events.query(
            QueryFact.RETRIEVED,
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            passages=len(found.passages),
            top_score=found.passages[0].score if found.passages else None,
            timings_ms=found.timings_ms,
        )

    async def _go_on(self, request: QueryRequest, found: Found, delivery: Delivery) -> None:
        if request.generate:
            await self._hand_over(request, found, delivery)
        else:
            await self._finish(request, found)

    async def _tell_passages(self, request: QueryRequest, found: Found) -> None:
        await self._replies.answers.retrieved(
            Retrieved(
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
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
        ended = await self._replies.terminals.end(
            Completed(
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                timings_ms=found.timings_ms,
            )
        )
        if ended:
            await self._replies.events.query(
                QueryFact.COMPLETED,
                tenant=request.tenant,
                query_id=request.query_id,
                principal=request.principal,
                passages=len(found.passages),
                timings_ms=found.timings_ms,
            )


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
