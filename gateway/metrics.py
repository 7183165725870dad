"""Figures of requests, by route template (never by path), and `/metrics`."""

from __future__ import annotations

import time
from itertools import count
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from opentelemetry.metrics import Meter
from prometheus_client import REGISTRY
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.identity import Operates
from gateway.openapi import text
from messaging.activity import Activity
from observability.exposition.formats import JSON_TYPE, Format, as_json, as_text, chosen_format
from observability.exposition.registered import registered_families

router = APIRouter(tags=["health"])

BUCKETS_S: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Half a decade each, from what is answered out of memory to a long answer of a model. Every operation has all of them
once for each class of status: each further one costs the observer hundreds of series."""
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
UNMATCHED: Final = "unmatched"
_METHOD_NOT_ALLOWED: Final = 405


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: text("Families with their samples.", "text/plain", JSON_TYPE, example="waggle_up 1")},
)
def metrics(
    _: Operates,
    accept: Annotated[str, Header()] = "",
    named: Annotated[Format | None, Query(alias="format", description="Goes before the header `Accept`.")] = None,
) -> Response:
    """Figures of this gateway: the text format of Prometheus, or JSON."""
    chosen = chosen_format(accept=accept, named=named) or Format.TEXT
    families = registered_families(REGISTRY.collect())
    body = as_json(families) if chosen is Format.JSON else as_text(families)
    return Response(body, headers={"Content-Type": chosen.content_type})


def route_of(scope: Scope) -> str:
    """The template of the route that a request was sent to, never its path."""
    return getattr(scope.get("route"), "path", UNMATCHED)


def method_of(scope: Scope) -> str:
    """The method, if it is one of those there are."""
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def outcome_of(status: int) -> str:
    """What came of a request, in few words: refused are those who may not, limited those who asked for too much."""
    if status < 400:
        return "ok"
    if status >= 500:
        return "failed"
    return {401: "refused", 403: "refused", 429: "limited"}.get(status, "client_error")


class RequestMetrics:
    """Counts and times requests, up to the head of their response: a stream may stay open as long as it likes.

    Names follow the semantic conventions; of their attributes the scheme is left out, and the status is told as its class:
    single ones, which spans and the access log have, would make three times as many series of buckets.
    """

    def __init__(self, app: ASGIApp, *, meter: Meter, activity: Activity) -> None:
        self._app = app
        self._activity = activity
        self._numbers = count()
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Time from a request's head to the head of its response.",
            explicit_bucket_boundaries_advisory=BUCKETS_S,
        )

        self._requests = meter.create_counter(
            "waggle.gateway.requests", unit="{request}", description="Requests, by what came of them."
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        key = f"request-{next(self._numbers)}"

        answered = False

        async def observed(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._activity.end(key)
                self._record(scope, message["status"], time.perf_counter() - started)
            await send(message)

        self._activity.begin(key)
        try:
            await self._app(scope, receive, observed)
        except Exception:
            if not answered:
                self._record(scope, 500, time.perf_counter() - started)
            raise
        finally:
            if not answered:
                self._activity.end(key)

    def _record(self, scope: Scope, status: int, took_s: float) -> None:
        # a route that lacks the method was not what was asked for: else methods times routes would be series
        route = UNMATCHED if status == _METHOD_NOT_ALLOWED else route_of(scope)
        status_class = f"{status // 100}xx"
        attributes = {
            "http.route": route,
            "http.request.method": method_of(scope),
            "waggle.status_class": status_class,
        }
        if status >= 500:
            attributes["error.type"] = status_class
        self._duration.record(took_s, attributes)
        self._requests.add(1, {"http.route": route, "waggle.outcome": outcome_of(status)})
