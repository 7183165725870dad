"""`/v1/query` and `/v1/queries`: ask, follow, resume, withdraw."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Path
from starlette.requests import Request
from starlette.responses import Response

from contracts.answers import Cancelled, Completed, Failed, Retrieved
from contracts.api_keys import Scope
from contracts.errors import TransientError
from contracts.identifiers import Token
from contracts.queries import MAX_DEADLINE_S
from gateway import answering, problems, sse
from gateway.asking import AnyEvent, Asked
from gateway.backend import Backend, Connected, connected_backend
from gateway.idempotency import claimed
from gateway.identity import Asks, permitted
from gateway.openapi import idempotent, json_body, refusals, stream
from gateway.problems import Problem, ProblemCode
from gateway.query_schemas import Answer, CancelledView, QueryBody
from gateway.routing import DirectRoute
from gateway.waiting import waited_for

router = APIRouter(prefix="/v1", tags=["queries"])
log = structlog.get_logger(__name__)

HEADER_QUERY_ID = "Waggle-Query-Id"
_EVENT_ID = re.compile(r"\d{1,9}\.\d{1,9}")
JOINED = (
    "Then it is the same query, whose answer is read from its beginning; it is kept for a quarter of an hour, and asked anew "
    "after that. A query that failed has failed under its key: ask again with another one."
)
_EVENTS = "retrieved, delta (any number), then one of completed, failed, cancelled; `id` is for `Last-Event-ID`"

_ONE = 'id: 1.1\nevent: delta\ndata: {"query_id":"01JD5Y8Z0000000000000000AB","attempt":1,"text":"Bees "}\n\n'

QueryId = Annotated[Token, Path(description="The query's id.", examples=["01JD5Y8Z0000000000000000AB"])]


async def ask(request: Request) -> Response:
    """Ask a question; `generate: false` only searches.

    Answers by one JSON document, or with `stream: true` (or `Accept: text/event-stream`) by server-sent events. Closing
    the connection withdraws the question, unless it has an idempotency key; a stream may be resumed within moments by its
    query id.
    """
    identity, backend = permitted(request, Scope.QUERY), connected_backend(request)
    body = await backend.json.read(request, QueryBody, at_most=backend.limits.query_bytes)
    streamed = body.stream or sse.MEDIA_TYPE in request.headers.get("accept", "")
    turn = await claimed(request, backend, identity, body)
    async with AsyncExitStack() as resources:
        asking = backend.asking.ask(identity, body, stream=streamed, query_id=turn.derived("query"))
        asked = await resources.enter_async_context(asking)
        if streamed:
            return _streamed(backend, asked, resources.pop_all())
        return await waited_for(backend, asked, request, _collected(backend, asked))


router.add_api_route(
    "/query",
    ask,
    methods=["POST"],
    response_model=Answer,
    responses={200: stream(_EVENTS, example=_ONE), **refusals(400, 409, 413, 415, 422, 429, 500, 503, 504)},
    openapi_extra=idempotent(json_body(QueryBody), says=JOINED),
    route_class_override=DirectRoute,
)


@router.get(
    "/queries/{query_id}/events",
    response_class=Response,
    responses={
        200: stream(_EVENTS, example=_ONE),
        204: {"description": "The end was seen already."},
        **refusals(404, 422, 503),
    },
)
async def follow(
    identity: Asks,
    backend: Connected,
    query_id: QueryId,
    last_event_id: Annotated[str | None, Header(description="Resume after this event.")] = None,
) -> Response:
    """Follow an answer, from its beginning or after `Last-Event-ID`, on any gateway, also when it has ended."""
    if last_event_id == answering.END_ID:
        return Response(status_code=204)
    if last_event_id is not None and not _EVENT_ID.fullmatch(last_event_id):
        raise problems.invalid("Last-Event-ID must be the id of an event of this answer.")
    if not await _is_known(backend, identity.tenant, query_id):
        raise unknown(query_id)
    async with AsyncExitStack() as resources:
        await resources.enter_async_context(backend.abandoned.rejoined(identity.tenant, query_id))
        answer = await resources.enter_async_context(backend.reader.open(identity.tenant, query_id))
        longest_s = MAX_DEADLINE_S + backend.limits.deadline_grace_s
        events = answer.events(after=last_event_id, from_start=True, timeout_s=longest_s)
        return _event_stream(backend, query_id, events, resources.pop_all())


@router.delete("/queries/{query_id}", response_model=CancelledView, responses=refusals(404, 409, 422, 503))
async def cancel(identity: Asks, backend: Connected, query_id: QueryId) -> Response:
    """Withdraw a query. Doing so again is fine; one that ended otherwise answers 409 and is left as it is."""
    ended = await backend.terminals.find(identity.tenant, query_id)
    if ended is None:
        if not await runs(backend, identity.tenant, query_id):
            raise unknown(query_id)
        if not await backend.queries.cancel(identity.tenant, query_id, identity.principal):
            ended = await backend.terminals.find(identity.tenant, query_id)
    if isinstance(ended, Completed | Failed):
        detail = f"The query has {ended.kind} already."
        raise Problem(409, ProblemCode.QUERY_ENDED, detail, extensions={"query_id": query_id, "ended": ended.kind})
    return Response(CancelledView(query_id=query_id).model_dump_json(), media_type="application/json")


def _streamed(backend: Backend, asked: Asked, resources: AsyncExitStack) -> Response:
    async def left() -> None:
        if not asked.may_be_joined and await backend.abandoned.stays_alone(asked.tenant, asked.query_id):
            await backend.asking.cancel(asked.tenant, asked.query_id, asked.principal)

    return _event_stream(backend, asked.query_id, backend.asking.events(asked), resources, on_gone=left)


def _event_stream(
    backend: Backend,
    query_id: str,
    events: AsyncIterator[AnyEvent],
    resources: AsyncExitStack,
    *,
    on_gone: Callable[[], Awaitable[None]] | None = None,
) -> Response:
    return sse.EventStream(
        _encoded(events),
        stopping=backend.drain.over,
        keepalive_s=backend.limits.stream_keepalive_s,
        retry_ms=backend.limits.stream_retry_ms,
        on_gone=on_gone,
        resources=resources,
        headers={HEADER_QUERY_ID: query_id},
    )


async def _encoded(events: AsyncIterator[AnyEvent]) -> AsyncIterator[bytes]:
    """A stream that loses the broker ends without a terminal: its reader comes back with `Last-Event-ID`."""
    try:
        async for event in events:
            yield answering.encode(event)
    except TransientError as error:
        log.warning("an answer stream broke off", reason=str(error))


async def _collected(backend: Backend, asked: Asked) -> Response:
    retrieved: Retrieved | None = None
    async for event in backend.asking.events(asked):
        if isinstance(event, Retrieved):
            retrieved = event
        elif isinstance(event, Completed):
            if retrieved is None and event.answer is None:  # the end outlived the passages: a broker died in between
                raise problems.unavailable("The passages found were lost. Ask again.", query_id=asked.query_id)
            answer = answering.whole(event, retrieved, total_ms=asked.elapsed_ms)
            return Response(
                answer.model_dump_json(), media_type="application/json", headers={HEADER_QUERY_ID: asked.query_id}
            )
        elif isinstance(event, Failed | Cancelled):
            raise answering.problem_of(event)
    raise problems.unavailable("The answer broke off; follow the query by its id.", query_id=asked.query_id)


async def _is_known(backend: Backend, tenant: str, query_id: str) -> bool:
    """Whether there is anything of this query, now or within a moment: it may just have been asked elsewhere."""
    deadline = asyncio.get_running_loop().time() + backend.limits.unknown_query_wait_s
    if await runs(backend, tenant, query_id):
        return True
    while not await backend.asking.was_asked(tenant, query_id):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(backend.limits.unknown_query_poll_s)
    return True


async def runs(backend: Backend, tenant: str, query_id: str) -> bool:
    """Of a query that has no end: whether it was asked at all. One that waits for its turn may have left nothing but that."""
    return await backend.asking.was_asked(tenant, query_id) or await backend.query_log.was_accepted(tenant, query_id)


def unknown(query_id: str) -> Problem:
    """Nothing is known of it in this tenant."""
    return problems.not_found(
        f"Nothing is known of a query {query_id}, or not any more: what came of one is kept for half an hour. "
        "GET /v1/queries lists those of the last seven days."
    )
