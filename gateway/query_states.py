"""`GET /v1/queries` and `/v1/queries/{query_id}`: how the questions of a tenant stand, and what came of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.identifiers import Token
from contracts.query_views import QueriesView, QueryState
from gateway import answering
from gateway.backend import Backend, Connected
from gateway.etags import UNCHANGED, IfNoneMatch, conditional, tag_of
from gateway.identity import Asks
from gateway.openapi import refusals
from gateway.paging import USUAL, Cursor, Limit, cursor_of, position_of
from gateway.queries import QueryId, runs, unknown
from gateway.query_schemas import QueryView
from gateway.times import FORMS, Moment
from messaging.query_log import WantedQueries

USUAL_SPAN: Final = timedelta(days=1)

router = APIRouter(prefix="/v1", tags=["queries"])


@router.get("/queries", response_model=QueriesView, responses=refusals(422, 503))
async def list_queries(
    identity: Asks,
    backend: Connected,
    since: Annotated[Moment | None, Query(description=f"{FORMS} Default: a day before `until`.")] = None,
    until: Annotated[Moment | None, Query(description=f"{FORMS} Not included; default: now.")] = None,
    state: Annotated[list[QueryState] | None, Query(description="In any of these.")] = None,
    code: Annotated[Token | None, Query(description="Only those that failed for this reason.")] = None,
    answered: Annotated[
        bool | None, Query(description="Only those to which the documents held an answer, or none.")
    ] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List the questions of the tenant without their words, oldest first: those that ended where they did, those that run where
    they were accepted. They are kept for seven days.
    """
    page = await backend.query_log.page(
        identity.tenant,
        WantedQueries(states=state or (), code=code, answered=answered),
        since=since or (until or backend.broker.clock.now()) - USUAL_SPAN,
        until=until,
        after=position_of(cursor),
        limit=limit,
    )
    listed = QueriesView(items=page.events, next=cursor_of(page.after))
    return Response(listed.model_dump_json(), media_type="application/json")


@router.get("/queries/{query_id}", response_model=QueryView, responses={**UNCHANGED, **refusals(404, 422, 503)})
async def show_query(
    identity: Asks, backend: Connected, query_id: QueryId, if_none_match: IfNoneMatch = None
) -> Response:
    """Show where a question stands and, once it has ended, what came of it. That is kept for half an hour, its passages for a
    quarter.
    """
    body = (await _shown(backend, identity.tenant, query_id)).model_dump_json()
    return conditional(Response(body, media_type="application/json"), tag_of(body), if_none_match)


async def _shown(backend: Backend, tenant: str, query_id: str) -> QueryView:
    ended = await backend.terminals.find(tenant, query_id)
    if ended is not None:
        retrieved = await backend.reader.retrieved(tenant, query_id) if ended.kind == "completed" else None
        return QueryView(query_id=query_id, state=QueryState(ended.kind), result=answering.kept(ended, retrieved))
    if not await runs(backend, tenant, query_id):
        raise unknown(query_id)
    return QueryView(query_id=query_id, state=QueryState.RUNNING)
