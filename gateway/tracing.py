"""A span for each request, and its id; what it causes behind the gateway is part of its trace."""

from __future__ import annotations

from opentelemetry import context, propagate
from opentelemetry.trace import SpanKind, Tracer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.identifiers import new_id
from gateway.metrics import method_of, route_of
from observability.request_context import valid_request_id, working_on
from observability.stages import mark_failed, stage, with_tracer

HEADER_REQUEST_ID = "X-Request-Id"
_TRACE_CONTEXT = frozenset({b"traceparent", b"tracestate", b"baggage"})
_HEADER = HEADER_REQUEST_ID.lower().encode()


class RequestSpans:
    """Continues the caller's trace (W3C Trace Context) or begins one. Names follow the semantic conventions.

    Paths are left out, since they hold ids: a span tells its route.
    """

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = method_of(scope)
        attributes = {"http.request.method": method, "url.scheme": scope.get("scheme", "http")}
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _TRACE_CONTEXT}
        base = with_tracer(self._tracer, propagate.extract(carrier, context.Context()))
        with stage(method, {**attributes}, kind=SpanKind.SERVER, base=base) as span:

            async def observed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = route_of(scope)
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        mark_failed(span, str(message["status"]))
                await send(message)

            await self._app(scope, receive, observed)


class RequestIds:
    """Gives each request an id, the caller's own if it sends a usable one, and tells it in the response.

    It is on every log line about the request, here and in the workers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        request_id = valid_request_id(given) or new_id()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER_REQUEST_ID] = request_id
            await send(message)

        with working_on(request_id):
            await self._app(scope, receive, named)
