"""`/v1/rules`, `/v1/figures`, `/v1/health`, `/v1/dependencies`, `/v1/diagnoses`, `/v1/fleet/metrics`: what the observer that leads
says, as it says it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.alert_views import RulesView
from contracts.component_health import DependenciesView, HealthView
from contracts.diagnoses import DiagnosesView, DiagnosisHistoryView, EpisodeView
from contracts.figures import FiguresView
from contracts.observing import ErrorType, Parameters, RequestKind
from gateway import problems
from gateway.backend import Backend, Connected
from gateway.identity import Operates
from gateway.openapi import refusals, text
from gateway.paging import MOST, USUAL, Cursor, newest_first
from gateway.times import FORMS
from messaging.observing import Answer
from observability.diagnosis import DiagnosisQuestion
from observability.exposition.formats import JSON_TYPE
from observability.health import HealthQuestion

TIMEOUT_S = 10.0

router = APIRouter(prefix="/v1", tags=["observer"])


@router.get("/rules", response_model=RulesView, responses=refusals(503))
async def list_rules(_: Operates, backend: Connected) -> Response:
    """List the groups of rules: health, last error, alerts, and what came of the last reading of their files."""
    return forwarded(await asked(backend, RequestKind.RULES))


@router.get("/figures", response_model=FiguresView, responses=refusals(503))
async def show_figures(_: Operates, backend: Connected) -> Response:
    """Show the key figures of the four layers with their status, and how much of the time each component was up."""
    return forwarded(await asked(backend, RequestKind.FIGURES))


@router.get("/diagnoses", response_model=DiagnosesView | DiagnosisHistoryView, responses=refusals(422, 503))
async def list_diagnoses(
    _: Operates,
    backend: Connected,
    at: Annotated[
        str | None, Query(description=f"{FORMS} Of this time instead of now, as far as series reach.", max_length=64)
    ] = None,
    since: Annotated[
        str | None, Query(description=f"{FORMS} The history instead: what went on then or later.", max_length=64)
    ] = None,
    limit: Annotated[int | None, Query(ge=1, le=MOST, description="Most of one page of the history.")] = None,
    cursor: Cursor = None,
) -> Response:
    """List what is wrong: causes with their evidence, how sure each is, and what might help; roots first.

    With `since` the history, newest first, page by page.
    """
    if not since and (limit, cursor) != (None, None):
        raise problems.invalid("limit, cursor: are for the history: give `since`.")
    parameters = {name: [text] for name, text in (("at", at), ("since", since)) if text}
    try:
        DiagnosisQuestion.of(parameters)
    except ValueError as error:
        raise problems.invalid(f"{error}.") from None
    answer = await asked(backend, RequestKind.DIAGNOSES, parameters)
    return forwarded(answer) if not since else _history(answer, limit or USUAL, cursor)


@router.get("/health", response_model=HealthView, responses=refusals(422, 503))
async def show_health(
    _: Operates,
    backend: Connected,
    since: Annotated[
        str | None,
        Query(description=f"Also what has changed since then. {FORMS}", max_length=64),
    ] = None,
) -> Response:
    """Show the health of the fleet and of each component, with what its instances say, what it needs, and what it suffers
    from. Whether this gateway is ready is told by `/health/ready`.
    """
    parameters = {} if since is None else {"since": [since]}
    try:
        HealthQuestion.of(parameters)
    except ValueError as error:
        raise problems.invalid(f"{error}.") from None
    return forwarded(await asked(backend, RequestKind.HEALTH, parameters))


@router.get("/dependencies", response_model=DependenciesView, responses=refusals(503))
async def show_dependencies(_: Operates, backend: Connected) -> Response:
    """Show which component needs which others, by the topology and by what heartbeats say of backends."""
    return forwarded(await asked(backend, RequestKind.DEPENDENCIES))


@router.get(
    "/fleet/metrics",
    response_class=Response,
    responses={
        200: text("Series with their newest samples.", "text/plain", JSON_TYPE, example="waggle_up 1"),
        **refusals(503),
    },
)
async def fleet_metrics(
    _: Operates,
    backend: Connected,
    format: Annotated[  # noqa: A002  (named as clients name it)
        Literal["text", "json"], Query(description="Prometheus' text format, or JSON.")
    ] = "text",
) -> Response:
    """The newest sample of every series of the fleet. A Prometheus that scrapes it sets `honor_labels`."""
    return forwarded(await asked(backend, RequestKind.FLEET_METRICS, {"format": [format]}))


def _history(answer: Answer, limit: int, cursor: str | None) -> Response:
    found = answer.read(DiagnosisHistoryView)
    page = newest_first(found.items, at=_begun, limit=limit, cursor=cursor)
    listed = DiagnosisHistoryView(items=tuple(page.items), next=page.next)
    return Response(listed.model_dump_json(), media_type="application/json")


def _begun(episode: EpisodeView) -> tuple[datetime, str]:
    return episode.began_at, episode.diagnosis.fingerprint


async def asked(backend: Backend, kind: RequestKind, parameters: Parameters | None = None) -> Answer:
    """What the observer answers; its refusals as problems. Raises `TransientError`, which is one of status 503."""
    answer = await backend.observer.ask(kind, parameters, timeout_s=TIMEOUT_S)
    if not answer.is_success:
        raise _problem(*answer.problem())
    return answer


def forwarded(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.media_type)


def _problem(kind: ErrorType, reason: str) -> problems.Problem:
    if kind is ErrorType.NOT_FOUND:
        return problems.unavailable(f"The observer that leads is of another release: {reason}.")
    if kind is ErrorType.INTERNAL:
        return problems.Problem(500, problems.ProblemCode.INTERNAL, f"The observer failed: {reason}.")
    if kind in {ErrorType.TIMEOUT, ErrorType.UNAVAILABLE}:
        return problems.unavailable(f"The observer cannot say now: {reason}.")
    return problems.invalid(f"{reason}.")
