"""Figures of requests, by route template (never by path), and `/metrics`."""

from __future__ import annotations

import time
from itertools import count

from fastapi import APIRouter
from opentelemetry.metrics import Meter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from messaging.activity import Activity

router = APIRouter(tags=["health"])

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@router.get("/metrics", response_class=Response)
def metrics() -> Response:
    """Figures of this gateway in the Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class RequestMetrics:
    """Counts and times requests, up to the head of their response: a stream may stay open as long as it likes.

    Names follow the semantic conventions.
    """

    def __init__(self, app: ASGIApp, *, meter: Meter, activity: Activity) -> None:
        self._app = app
        self._activity = activity
        self._numbers = count()
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Time from a request's head to the head of its response.",
            explicit_bucket_boundaries_advisory=_BUCKETS_S,
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
        finally:
            if not answered:
                self._activity.end(key)

    def _record(self, scope: Scope, status: int, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {"http.route": route, "http.request.method": method, "http.response.status_code": status}
        self._duration.record(took_s, attributes)
