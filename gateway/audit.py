"""`/v1/audit`: who did what to the system, from where, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.audit import AuditKind
from contracts.audit_views import AuditEntry, AuditView
from gateway.backend import Connected
from gateway.identity import Administers
from gateway.paging import USUAL, Cursor, Limit, cursor_of, position_of
from gateway.times import FORMS, Moment

USUAL_SPAN: Final = timedelta(days=1)

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/audit", response_model=AuditView)
async def list_acts(
    _: Administers,
    backend: Connected,
    since: Annotated[Moment | None, Query(description=f"{FORMS} Default: a day before `until`.")] = None,
    until: Annotated[Moment | None, Query(description=f"{FORMS} Not included; default: now.")] = None,
    kind: Annotated[list[AuditKind] | None, Query(description="About any of these.")] = None,
    principal: Annotated[
        str | None,
        Query(min_length=1, max_length=256, description="Only of this one.", examples=["key:k3v5q2w7y4z6abcd"]),
    ] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List what those did who run the system, and what they tried to, oldest first. It is kept for four weeks.

    `unknown`: it failed on the way, or whoever was at it died; it may have been done.
    """
    page = await backend.acts.page(
        since=since or (until or backend.broker.clock.now()) - USUAL_SPAN,
        until=until,
        after=position_of(cursor),
        kinds=kind or (),
        principal=principal,
        limit=limit,
    )
    listed = AuditView(items=tuple(map(AuditEntry.of, page.events)), next=cursor_of(page.after))
    return Response(listed.model_dump_json(), media_type="application/json")
