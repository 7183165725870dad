"""`/v1/silences`: which alerts nobody is to be told of, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from contracts.identifiers import Token
from contracts.silences import LabelMatcher
from gateway import problems
from gateway.audited import AuditedRoute
from gateway.backend import Backend, Connected
from gateway.idempotency import Turn, once
from gateway.identity import Identity, Operates
from gateway.openapi import idempotent, json_body, refusals
from gateway.paging import USUAL, Cursor, Limit, newest_first
from gateway.silence_schemas import NewSilence, SilenceList, SilenceState, SilenceView
from messaging.silences import SilenceConflictError, SilenceRefusedError, new_silence
from observability.notifications.matchers import parse_matcher

LONGEST = timedelta(days=365)

router = APIRouter(prefix="/v1/silences", tags=["alerts"], route_class=AuditedRoute)

SilenceId = Annotated[Token, Path(description="The silence's id.", examples=["9f86d081884c7d659a2feaa0c5"])]

log = structlog.get_logger(__name__)


@router.get("", response_model=SilenceList, responses=refusals(422, 503))
async def list_silences(
    _: Operates,
    backend: Connected,
    state: Annotated[list[SilenceState] | None, Query(description="Any of these; default: all.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List silences, those that end last first. One that has ended is kept for five days."""
    now = backend.broker.clock.now()
    views = [SilenceView.of(silence, now) for silence in await backend.silences.all()]
    wanted = [view for view in views if not state or view.state in state]
    page = newest_first(wanted, at=lambda view: (view.ends_at, view.id), limit=limit, cursor=cursor)
    listed = SilenceList(items=page.items, next=page.next)
    return Response(listed.model_dump_json(), media_type="application/json")


@router.post(
    "",
    status_code=201,
    response_model=SilenceView,
    responses=refusals(400, 409, 413, 415, 422, 503),
    openapi_extra=idempotent(json_body(NewSilence), says="Without one, the same silence again is the same."),
)
async def add_silence(request: Request, identity: Operates, backend: Connected) -> Response:
    """Silence the alerts that meet all matchers, until it ends."""
    body = await backend.json.read(request, NewSilence, at_most=backend.limits.query_bytes)
    return await once(request, backend, identity, body, lambda turn: _add(backend, identity, body, turn))


async def _add(backend: Backend, identity: Identity, body: NewSilence, turn: Turn) -> Response:
    now = backend.broker.clock.now()
    silence = new_silence(
        matchers=_matchers(body.matchers),
        starts_at=body.starts_at or now,
        ends_at=_end(body, now),
        comment=body.comment,
        principal=identity.principal,
        request=turn.id,
    )
    try:
        kept = await backend.silences.create(silence)
    except SilenceConflictError as error:
        raise problems.conflict(problems.sentence(error)) from None
    except SilenceRefusedError as error:
        raise problems.invalid(problems.sentence(error)) from None
    log.info("alerts silenced", silence=kept.id, by=identity.principal, until=kept.ends_at.isoformat())
    return Response(SilenceView.of(kept, now).model_dump_json(), 201, media_type="application/json")


@router.delete("/{silence_id}", response_model=SilenceView, responses=refusals(404, 422, 503))
async def end_silence(identity: Operates, backend: Connected, silence_id: SilenceId) -> Response:
    """End a silence now: from then on people are told again. One that has ended already stays as it is."""
    ended = await backend.silences.expire(silence_id, by=identity.principal)
    if ended is None:
        raise problems.not_found(f"There is no silence {silence_id}. `/v1/silences` lists them.")
    log.info("silence ended", silence=silence_id, by=identity.principal)
    view = SilenceView.of(ended, backend.broker.clock.now())
    return Response(view.model_dump_json(), media_type="application/json")


def _end(body: NewSilence, now: datetime) -> datetime:
    starts_at = body.starts_at or now
    if body.ends_at <= max(starts_at, now):
        raise problems.invalid("ends_at: it has to be in the future, and after starts_at.")
    if body.ends_at - starts_at > LONGEST:
        raise problems.invalid(f"ends_at: a silence lasts {LONGEST.days} days at most.")
    return body.ends_at


def _matchers(texts: list[str]) -> tuple[LabelMatcher, ...]:
    try:
        return tuple(parse_matcher(text) for text in texts)
    except ValueError as error:
        raise problems.invalid(f"matchers: {error}.") from None
