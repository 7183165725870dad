"""`/v1/alerts`: what is wrong now, and what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from contracts.alert_views import ActiveState, AlertsView, AlertView, HistoryView
from contracts.alerts import Fingerprint
from contracts.identifiers import Token
from contracts.observing import RequestKind
from gateway import problems
from gateway.backend import Connected
from gateway.identity import Operates
from gateway.observed import asked, forwarded
from gateway.openapi import refusals
from gateway.paging import USUAL, Cursor, Limit, position_of
from observability.alert_questions import AlertQuestion, HistoryKind, HistoryQuestion

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

Filters = Annotated[
    list[str] | None,
    Query(description="Matchers, all to be met.", examples=[['service="embed"', 'alertname=~"Instance.*"']]),
]
_TIME = "RFC 3339, or seconds since 1970."
Severities = Annotated[list[str] | None, Query(description="Any of these; `none` is one without a severity.")]


@router.get("", response_model=AlertsView, responses=refusals(422, 503))
async def list_alerts(
    _: Operates,
    backend: Connected,
    state: Annotated[list[ActiveState] | None, Query(description="Any of these.")] = None,
    severity: Severities = None,
    filter: Filters = None,
) -> Response:
    """List the alerts that are pending or fire, and those that were resolved within a quarter of an hour."""
    parameters = _given({"state": state, "severity": severity, "filter": filter})
    try:
        AlertQuestion.of(parameters)
    except ValueError as error:
        raise problems.invalid(f"{error}.") from None
    return forwarded(await asked(backend, RequestKind.ALERTS, parameters))


@router.get("/history", response_model=HistoryView, responses=refusals(422, 503))
async def alert_history(
    _: Operates,
    backend: Connected,
    kind: Annotated[
        HistoryKind, Query(description="When alerts began and were over, or who was told.")
    ] = HistoryKind.ALERT,
    start: Annotated[str | None, Query(description=f"{_TIME} Default: a day before `end`.", max_length=64)] = None,
    end: Annotated[str | None, Query(description=f"{_TIME} Not included; default: now.", max_length=64)] = None,
    severity: Severities = None,
    filter: Filters = None,
    channel: Annotated[Token | None, Query(description="Only notifications through this channel.")] = None,
    fingerprint: Annotated[Fingerprint | None, Query(description="Only notifications about this alert.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List when alerts began to fire and were over, or who was told of them, oldest first. It is kept for four weeks."""
    lists = _given({"severity": severity, "filter": filter})
    single = {
        "kind": kind,
        "start": start,
        "end": end,
        "channel": channel,
        "fingerprint": fingerprint,
        "limit": limit,
        "cursor": position_of(cursor) or None,
    }
    parameters = lists | {name: [str(value)] for name, value in single.items() if value is not None}
    try:
        HistoryQuestion.of(parameters)
    except ValueError as error:
        raise problems.invalid(f"{error}.") from None
    return forwarded(await asked(backend, RequestKind.HISTORY, parameters))


@router.get("/{fingerprint}", response_model=AlertView, responses=refusals(404, 422, 503))
async def show_alert(
    _: Operates,
    backend: Connected,
    fingerprint: Annotated[Fingerprint, Path(description="The alert's fingerprint.", examples=["b7c1a7b4d2f03e55"])],
) -> Response:
    """Show one of the alerts that `/v1/alerts` lists."""
    answer = await asked(backend, RequestKind.ALERTS, {"fingerprint": [fingerprint]})
    for alert in answer.read(AlertsView).items:
        if alert.fingerprint == fingerprint:
            return Response(alert.model_dump_json(), media_type="application/json")
    raise problems.not_found(f"No alert {fingerprint} is pending or fires; `/v1/alerts/history` has what was.")


def _given(parameters: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
    return {name: [str(value) for value in values] for name, values in parameters.items() if values}
