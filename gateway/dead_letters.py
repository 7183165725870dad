"""`/v1/dlq`: messages that were given up, for people to read, send back or throw away."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from contracts.identifiers import Token
from gateway import problems
from gateway.audited import AuditedRoute
from gateway.backend import Backend, Connected
from gateway.dead_letter_schemas import (
    DeadLetterDetail,
    DeadLetterList,
    DeadLetterView,
    Replay,
    ReplayResult,
    Replays,
)
from gateway.idempotency import once
from gateway.identity import Identity, Operates
from gateway.openapi import idempotent, json_body, refusals
from gateway.paging import USUAL, Cursor, Limit, cursor_of, position_of
from messaging.letterbox import LetterNotFoundError, ReplayRefusedError, Wanted

router = APIRouter(prefix="/v1/dlq", tags=["dead letters"], route_class=AuditedRoute)

LetterId = Annotated[str, Path(description="The letter's id.", max_length=200, examples=["INGEST.42-1764028800000"])]


@router.get("", response_model=DeadLetterList, responses=refusals(422, 503))
async def list_dead_letters(
    identity: Operates,
    backend: Connected,
    stream: Annotated[Token | None, Query(description="Only of this stream, such as INGEST.")] = None,
    code: Annotated[Token | None, Query(description="Only with this reason.")] = None,
    document_id: Annotated[Token | None, Query(description="Only of this document.")] = None,
    query_id: Annotated[Token | None, Query(description="Only of this query.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List dead letters, oldest first, without their payloads."""
    wanted = Wanted(stream=stream, code=code, document_id=document_id, query_id=query_id)
    page = await backend.letterbox.page(identity.tenant, wanted, limit=limit, after=position_of(cursor))
    listed = DeadLetterList(items=[DeadLetterView.of(kept) for kept in page.items], next=cursor_of(page.next))
    return Response(listed.model_dump_json(), media_type="application/json")


@router.get("/{letter_id}", response_model=DeadLetterDetail, responses=refusals(404, 503))
async def show_dead_letter(identity: Operates, backend: Connected, letter_id: LetterId) -> Response:
    """Show a dead letter whole: the error chain, the headers and the payload."""
    try:
        kept = await backend.letterbox.get(identity.tenant, letter_id)
    except LetterNotFoundError as error:
        raise problems.not_found(str(error)) from None
    return Response(DeadLetterDetail.of(kept).model_dump_json(), media_type="application/json")


@router.post(
    "/{letter_id}/replay",
    status_code=202,
    response_model=Replay,
    responses=refusals(404, 409, 422, 503),
    openapi_extra=idempotent(),
)
async def replay_dead_letter(request: Request, identity: Operates, backend: Connected, letter_id: LetterId) -> Response:
    """Send a message back to work. A failed document is run again as a new submission, which clears its failure."""
    return await once(request, backend, identity, None, lambda _: _replay(backend, identity, letter_id))


async def _replay(backend: Backend, identity: Identity, letter_id: str) -> Response:
    try:
        await backend.letterbox.replay(identity.tenant, letter_id)
    except LetterNotFoundError as error:
        raise problems.not_found(str(error)) from None
    except ReplayRefusedError as error:
        raise problems.conflict(str(error)) from None
    return Response(Replay(id=letter_id).model_dump_json(), 202, media_type="application/json")


@router.post(
    "/replay",
    status_code=202,
    response_model=ReplayResult,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(Replays)),
)
async def replay_dead_letters(request: Request, identity: Operates, backend: Connected) -> Response:
    """Send back all that match, up to `limit` of them; `next` tells where to go on. What is refused stays."""
    body = await backend.json.read(request, Replays, at_most=backend.limits.query_bytes)
    return await once(request, backend, identity, body, lambda _: _replay_all(backend, identity, body))


async def _replay_all(backend: Backend, identity: Identity, body: Replays) -> Response:
    wanted = Wanted(stream=body.stream, code=body.code, document_id=body.document_id, query_id=body.query_id)
    done = await backend.letterbox.replay_all(identity.tenant, wanted, limit=body.limit, after=position_of(body.cursor))
    return Response(ReplayResult.of(done).model_dump_json(), 202, media_type="application/json")


@router.delete("/{letter_id}", status_code=204, responses=refusals(404, 503))
async def drop_dead_letter(identity: Operates, backend: Connected, letter_id: LetterId) -> Response:
    """Throw a dead letter away."""
    try:
        await backend.letterbox.drop(identity.tenant, letter_id)
    except LetterNotFoundError as error:
        raise problems.not_found(str(error)) from None
    return Response(status_code=204)
