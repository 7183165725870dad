"""`/v1/chat/completions`, for clients of OpenAI's API."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from contracts.answers import Cancelled, Completed, Failed, Retrieved
from contracts.api_keys import Scope
from gateway import answering, problems, sse
from gateway.asking import AnyEvent, Asked
from gateway.backend import Backend, connected_backend
from gateway.idempotency import claimed
from gateway.identity import permitted
from gateway.openai_api.chunks import STOPPING, Chunks, error_chunk, told_of, usage_of
from gateway.openai_api.conversation import question_of
from gateway.openai_api.schemas import (
    MODEL,
    AssistantMessage,
    ChatBody,
    ChatCompletion,
    Choice,
)
from gateway.openai_api.text import sources_of
from gateway.openapi import idempotent, json_body, refusals, stream
from gateway.queries import HEADER_QUERY_ID, JOINED
from gateway.routing import DirectRoute
from gateway.waiting import waited_for

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

_ONE: Final = 'data: {"id":"chatcmpl-01JD5Y8Z","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Bees "}}]}\n\n'


async def complete(request: Request) -> Response:
    """Ask as an OpenAI client does: the last message is the question. The answer cites documents, in its text and under `waggle`."""
    identity, backend = permitted(request, Scope.QUERY), connected_backend(request)
    body = await backend.json.read(request, ChatBody, at_most=backend.limits.conversation_bytes)
    question = question_of(body)
    turn = await claimed(request, backend, identity, body)
    async with AsyncExitStack() as resources:
        asking = backend.asking.ask(identity, question, stream=bool(body.stream), query_id=turn.derived("query"))
        asked = await resources.enter_async_context(asking)
        if body.stream:
            return await _streamed(backend, asked, request, body, resources)
        completed = await waited_for(backend, asked, request, _end(backend, asked))
        return _whole(asked, completed, sources=body.extension.sources)


router.add_api_route(
    "/chat/completions",
    complete,
    methods=["POST"],
    response_model=ChatCompletion,
    responses={
        200: stream("`chat.completion.chunk` objects, then `[DONE]`", example=_ONE),
        **refusals(400, 404, 409, 413, 415, 429, 500, 503, 504),
    },
    openapi_extra=idempotent(json_body(ChatBody), says=JOINED),
    route_class_override=DirectRoute,
)


async def _streamed(
    backend: Backend, asked: Asked, request: Request, body: ChatBody, resources: AsyncExitStack
) -> Response:
    """The response begins with the answer: what fails before that has its own status."""
    events = backend.asking.events(asked)
    first = await waited_for(backend, asked, request, _first(events))
    chunks = Chunks(
        id=_id(asked),
        created=int(time.time()),
        model=MODEL,
        sources=body.extension.sources,
        usage=body.stream_options is not None and bool(body.stream_options.include_usage),
    )

    async def left() -> None:
        if not asked.may_be_joined:
            await backend.asking.cancel(asked.tenant, asked.query_id, asked.principal)

    return sse.EventStream(
        chunks.encoded(_following(first, events)),
        stopping=backend.drain.over,
        keepalive_s=backend.limits.stream_keepalive_s,
        retry_ms=None,
        on_gone=left,
        last_words=error_chunk(STOPPING),
        resources=resources.pop_all(),
        headers={HEADER_QUERY_ID: asked.query_id},
    )


async def _first(events: AsyncIterator[AnyEvent]) -> AnyEvent:
    """The first event of the answer itself. Raises the problem of one that ends without any."""
    async for event in events:
        if isinstance(event, Failed | Cancelled):
            raise answering.problem_of(event)
        if not isinstance(event, Retrieved):
            return event
    raise problems.unavailable("The answer broke off; ask again.")


async def _following(first: AnyEvent, events: AsyncIterator[AnyEvent]) -> AsyncIterator[AnyEvent]:
    yield first
    async for event in events:
        yield event


async def _end(backend: Backend, asked: Asked) -> Completed:
    async for event in backend.asking.events(asked):
        if isinstance(event, Completed):
            return event
        if isinstance(event, Failed | Cancelled):
            raise answering.problem_of(event)
    raise problems.unavailable("The answer broke off; ask again.")


def _whole(asked: Asked, completed: Completed, *, sources: bool) -> Response:
    text = (completed.answer or "") + (sources_of(completed.citations) if sources else "")
    choice = Choice(message=AssistantMessage(content=text), finish_reason=completed.finish_reason or "stop")
    timings_ms = {**completed.timings_ms, "gateway": round(asked.elapsed_ms, 3)}
    answer = ChatCompletion(
        id=_id(asked),
        created=int(time.time()),
        model=MODEL,
        choices=[choice],
        usage=usage_of(completed),
        waggle=told_of(completed, answer=completed.answer, timings_ms=timings_ms),
    )
    return Response(answer.model_dump_json(), media_type="application/json", headers={HEADER_QUERY_ID: asked.query_id})


def _id(asked: Asked) -> str:
    return f"chatcmpl-{asked.query_id}"
