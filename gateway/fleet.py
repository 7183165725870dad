"""`/v1/fleet`: who is there, as their heartbeats tell."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.health import ProcessState
from contracts.identifiers import Token
from gateway.backend import Connected
from gateway.identity import Operates
from gateway.openapi import refusals
from gateway.schemas import Fleet
from gateway.schemas import Member as MemberView
from messaging.fleet import Member

router = APIRouter(prefix="/v1", tags=["fleet"])


@router.get("/fleet", response_model=Fleet, responses=refusals(422, 503))
async def show_fleet(
    _: Operates,
    backend: Connected,
    service: Annotated[list[Token] | None, Query(description="Only of any of these, such as embed.")] = None,
    state: Annotated[list[ProcessState] | None, Query(description="In any of these, as they told last.")] = None,
) -> Response:
    """List the processes heard of in the last minutes. `stale` ones have missed three heartbeats."""
    told = [
        member
        for member in backend.fleet.members()
        if (not service or member.heartbeat.service in service) and (not state or member.heartbeat.state in state)
    ]
    fleet = Fleet(items=[_view(member) for member in told])
    return Response(fleet.model_dump_json(), media_type="application/json")


def _view(member: Member) -> MemberView:
    told = member.heartbeat
    return MemberView(
        service=told.service,
        instance=told.instance,
        host=told.host,
        pid=told.pid,
        version=told.version,
        track=told.track,
        state=told.state,
        stale=not member.alive,
        heartbeat_age_s=round(member.heard_ago_s, 3),
        started_at=told.started_at,
        in_flight=told.in_flight,
        oldest_in_flight_s=told.oldest_in_flight_s,
        progress=told.progress,
        last_progress_at=told.last_progress_at,
        rss_bytes=told.rss_bytes,
        cpu_s=told.cpu_s,
        checks=[check.model_dump(mode="json") for check in told.checks],
        facts=told.facts,
    )
