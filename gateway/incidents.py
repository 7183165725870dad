"""`/v1/incidents`: what happened, why the system acted or did not, and what comes next."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from contracts.identifiers import Token
from contracts.incidents import IncidentsView, IncidentView
from gateway import problems
from gateway.backend import Connected
from gateway.identity import Operates
from gateway.openapi import refusals
from gateway.paging import USUAL, Cursor, Limit, newest_first
from gateway.times import FORMS, Moment

USUAL_SPAN: Final = timedelta(days=1)
LONGEST_SPAN: Final = timedelta(days=31)

router = APIRouter(prefix="/v1/incidents", tags=["recovery"])


@router.get("", response_model=IncidentsView, responses=refusals(422, 503))
async def list_incidents(
    _: Operates,
    backend: Connected,
    since: Annotated[Moment | None, Query(description=f"{FORMS} Default: a day before `until`.")] = None,
    until: Annotated[Moment | None, Query(description=f"{FORMS} Not included; default: now.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List the incidents that went on within the span, newest first: where each stands, and what comes next. It needs no
    observer. Not `complete`: within the span there was more than is told of one.
    """
    now = backend.broker.clock.now()
    begin = max(since or (until or now) - USUAL_SPAN, now - LONGEST_SPAN)
    if until is not None and until <= begin:
        raise problems.invalid("until: is not after since, or longer ago than anything is kept.")
    found = await backend.incidents.list(since=begin, until=until)
    page = newest_first(found.items, at=lambda each: (each.began_at, each.id), limit=limit, cursor=cursor)
    listed = found.model_copy(update={"items": tuple(page.items), "next": page.next})
    return Response(listed.model_dump_json(), media_type="application/json")


@router.get("/{incident}", response_model=IncidentView, responses=refusals(404, 422, 503))
async def show_incident(
    _: Operates,
    backend: Connected,
    incident: Annotated[Token, Path(description="The incident's id.", examples=["9f86d081884c7d659a2feaa0c5"])],
) -> Response:
    """Show one whole: its timeline, with evidence and what was captured before something was done."""
    found = await backend.incidents.find(incident)
    if found is None:
        raise problems.not_found(
            f"There is no incident {incident}, or it is not kept any more. `/v1/incidents` lists those that are."
        )
    return Response(found.model_dump_json(), media_type="application/json")
