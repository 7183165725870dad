"""`/v1/fleet`: who is there, as their heartbeats tell."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.backend import Connected
from gateway.identity import Operates
from gateway.openapi import refusals
from gateway.schemas import Fleet
from gateway.schemas import Member as MemberView
from messaging.fleet import Member

router = APIRouter(prefix="/v1", tags=["fleet"])


@router.get("/fleet", response_model=Fleet, responses=refusals(503))
async def show_fleet(_: Operates, backend: Connected) -> Response:
    """List the processes heard of in the last minutes. `stale` ones have missed three heartbeats."""
    fleet = Fleet(items=[_view(member) for member in backend.fleet.members()])
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
