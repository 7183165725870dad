"""`/v1/prometheus`: the observer's series, alerts and rules as a Prometheus data source, errors and all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from contracts.errors import TransientError
from contracts.observing import (
    DEFAULT_WAIT_S,
    LONGEST_WAIT_S,
    MOST_CHARACTERS,
    PROMETHEUS,
    SHAPE,
    ErrorType,
    Parameters,
    RequestKind,
)
from gateway.backend import Backend, connected_backend
from gateway.forms import FORM, parameters_of
from gateway.identity import Operates
from gateway.problems import Problem
from messaging.observing import Answer, ObserverSlowError

PREFIX = "/v1/prometheus/api/v1"


@dataclass(frozen=True, slots=True)
class Offer:
    """A part of Prometheus' HTTP API. Parameters that it does not name are left aside, as Prometheus does."""

    path: str
    kind: RequestKind
    summary: str
    parameters: tuple[str, ...] = ()


_RANGE = ("start", "end", "limit")
OFFERS = (
    Offer(
        "/query",
        RequestKind.QUERY,
        "Evaluate an expression at one moment.",
        ("query", "time", "timeout", "limit", "lookback_delta"),
    ),
    Offer(
        "/query_range",
        RequestKind.QUERY_RANGE,
        "Evaluate an expression over a range of time.",
        ("query", "start", "end", "step", "timeout", "limit", "lookback_delta"),
    ),
    Offer("/series", RequestKind.SERIES, "List the series that selectors mean.", ("match[]", *_RANGE)),
    Offer("/labels", RequestKind.LABELS, "List the names of labels.", ("match[]", *_RANGE)),
    Offer("/label/{name}/values", RequestKind.LABEL_VALUES, "List the values of a label.", ("match[]", *_RANGE)),
    Offer(
        "/metadata",
        RequestKind.METADATA,
        "Say what kinds of metrics there are.",
        ("metric", "limit", "limit_per_metric"),
    ),
    Offer("/status/buildinfo", RequestKind.BUILDINFO, "Say what answers here."),
    Offer(
        "/rules",
        RequestKind.RULES,
        "List the rules with their alerts.",
        ("type", "rule_name[]", "rule_group[]", "file[]", "match[]", "exclude_alerts"),
    ),
    Offer("/alerts", RequestKind.ALERTS, "List the alerts that are pending or fire."),
)
_REPEATED = "[]"
_EXAMPLES: dict[str, Any] = {
    "query": "sum by (service) (waggle_up)",
    "start": "2026-01-31T11:00:00Z",
    "end": "2026-01-31T12:00:00Z",
    "step": "30s",
    "match[]": ["waggle_up"],
    "metric": "waggle_up",
    "type": "alert",
}
_SHAPED = frozenset({RequestKind.RULES, RequestKind.ALERTS})
"""What Waggle itself shows in another shape."""


def _endpoint(offer: Offer) -> Callable[..., Awaitable[Response]]:
    async def ask(request: Request, _: Operates) -> Response:
        try:
            answer = await _answered(request, offer)
        except Problem as problem:
            return _response(_of_problem(problem), status=problem.status, headers=problem.headers)
        except ObserverSlowError as error:
            answer = Answer.error(ErrorType.TIMEOUT, str(error))
        except TransientError as error:
            answer = Answer.error(ErrorType.UNAVAILABLE, str(error))
        return _response(answer)

    return ask


async def _answered(request: Request, offer: Offer) -> Answer:
    backend = connected_backend(request)
    given = await parameters_of(request, backend.limits, at_most=MOST_CHARACTERS)
    parameters = {name: given[name] for name in offer.parameters if name in given}
    parameters |= {name: [value] for name, value in request.path_params.items()}
    try:
        return await _asked(backend, offer, parameters)
    except ValueError as error:
        return Answer.error(ErrorType.BAD_DATA, str(error))


async def _asked(backend: Backend, offer: Offer, parameters: dict[str, list[str]]) -> Answer:
    timeout_s = _timeout_s(parameters)
    if "timeout" in offer.parameters:
        parameters["timeout"] = [f"{timeout_s:g}"]
    if offer.kind in _SHAPED:
        parameters[SHAPE] = [PROMETHEUS]
    return await backend.observer.ask(offer.kind, parameters, timeout_s=timeout_s)


def _timeout_s(parameters: Parameters) -> float:
    """How long a query may take; as long as is allowed where more is asked for. Raises `ValueError`."""
    text = (parameters.get("timeout") or [""])[0]
    if not text:
        return DEFAULT_WAIT_S
    try:
        seconds = _seconds(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ValueError(f'invalid parameter "timeout": {text!r} is no duration such as 30s or 2.5')
    return min(seconds, LONGEST_WAIT_S)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        from observability.promql.durations import milliseconds  # with numpy, which the gateway else does without

        return milliseconds(text) / 1000


def _of_problem(problem: Problem) -> Answer:
    """A refusal of the gateway's own."""
    kind = ErrorType.UNAVAILABLE if problem.status == 503 else ErrorType.BAD_DATA
    return Answer.error(kind, problem.detail)


def _response(answer: Answer, *, status: int | None = None, headers: dict[str, str] | None = None) -> Response:
    return Response(answer.body, status or answer.status, headers, media_type=answer.media_type)


def _documented(offer: Offer, *, form: bool) -> dict[str, Any]:
    """What the OpenAPI document says of the parameters, which the route reads by itself."""
    one = {"type": "string"}
    schemas = {name: {"type": "array", "items": one} if name.endswith(_REPEATED) else one for name in offer.parameters}
    path = [{"name": "name", "in": "path", "required": True, "schema": one}] if "{name}" in offer.path else []
    if not form:
        return {
            "parameters": path + [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]
        }
    example = {name: text for name, text in _EXAMPLES.items() if name in offer.parameters}
    media = {"schema": {"type": "object", "properties": schemas}, "example": example}
    return {"parameters": path, "requestBody": {"required": False, "content": {FORM: media}}}


_ERROR = {
    "type": "object",
    "properties": {
        "status": {"const": "error"},
        "errorType": {"enum": [str(kind) for kind in ErrorType]},
        "error": {"type": "string"},
    },
}


def error_example(status: int) -> dict[str, Any]:
    """An error as it is answered with a status."""
    kind = {422: ErrorType.EXECUTION, 503: ErrorType.UNAVAILABLE}.get(status, ErrorType.BAD_DATA)
    return {"schema": _ERROR, "example": {"status": "error", "errorType": str(kind), "error": "…"}}


_MEANINGS = {
    200: "As Prometheus answers.",
    400: "A parameter is missing or wrong.",
    422: "The expression cannot be evaluated, or its answer is too large.",
    503: "No observer leads, or there was no answer in time.",
}


def _responses() -> dict[int | str, dict[str, Any]]:
    success = {"type": "object", "properties": {"status": {"const": "success"}, "data": {}}}
    return {
        status: {
            "description": meaning,
            "content": {"application/json": {"schema": success if status == 200 else _ERROR}},
        }
        for status, meaning in _MEANINGS.items()
    }


def _router() -> APIRouter:
    made = APIRouter(prefix=PREFIX, tags=["prometheus"])
    for offer in OFFERS:
        for method in ("GET", "POST"):
            made.add_api_route(
                offer.path,
                _endpoint(offer),
                methods=[method],
                summary=offer.summary,
                operation_id=f"prometheus_{offer.kind}_{method.lower()}",
                response_class=Response,
                responses=_responses(),
                openapi_extra=_documented(offer, form=method == "POST"),
            )
    return made


router = _router()
