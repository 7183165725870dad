"""The gateway as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from contracts.gateway_settings import Auth
from contracts.settings import GatewaySettings
from gateway import (
    alerts,
    audit,
    configuration,
    contents,
    dead_letters,
    documents,
    fleet,
    health,
    incidents,
    keys,
    metrics,
    observed,
    problems,
    progress,
    prometheus,
    queries,
    query_states,
    recoveries,
    rule_texts,
    silences,
    tenants,
    uploads,
    url_documents,
)
from gateway.access_log import AccessLog
from gateway.backend import Link, connected
from gateway.concurrency import InHand, Shares
from gateway.drain import Drain
from gateway.guards import LoopbackGuard, PlainContent
from gateway.heartbeats import SERVICE
from gateway.identity import OPEN, Door
from gateway.limits import Limits
from gateway.openai_api import embeddings, models
from gateway.openai_api import routes as openai_api
from gateway.operations import completed
from gateway.rates import Rates, Turnstile
from gateway.tracing import RequestIds, RequestSpans
from messaging.activity import Activity
from messaging.broker import Broker
from messaging.heartbeats import release
from observability.telemetry import Telemetry

DESCRIPTION = "Submit documents, ask questions, get answers that cite them. Errors are problem documents (RFC 9457)."

ROUTES = (
    queries,
    query_states,
    openai_api,
    embeddings,
    models,
    uploads,
    url_documents,
    documents,
    contents,
    progress,
    dead_letters,
    fleet,
    alerts,
    silences,
    rule_texts,
    configuration,
    keys,
    tenants,
    audit,
    recoveries,
    incidents,
    observed,
    prometheus,
    health,
    metrics,
)
"""Those of questions first: routes are tried in this order."""

log = structlog.get_logger(__name__)


def create_app(
    settings: GatewaySettings,
    *,
    limits: Limits | None = None,
    drain: Drain | None = None,
    telemetry: Telemetry | None = None,
    on_closed: Callable[[], None] | None = None,
) -> FastAPI:
    """Build the application.

    It answers at once, and 503 for what needs the broker until it is connected. `on_closed` is called when the broker
    connection is closed for good; by default the process exits then. What ends the gateway otherwise is told to
    `drain`.
    """
    telemetry = telemetry or Telemetry.off()
    attendant = _Attendant(
        settings,
        limits=limits or Limits(upload_max_bytes=settings.upload_max_bytes),
        drain=drain or Drain(timeout_s=settings.drain_timeout_s),
        on_closed=on_closed,
        telemetry=telemetry,
    )
    keyed = settings.auth is Auth.KEYS
    rates = Rates(settings, attendant.link, meter=telemetry.meter)
    app = FastAPI(
        title="Waggle",
        description=DESCRIPTION,
        version=release(),
        lifespan=attendant.lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(RequestIds),
            *([Middleware(AccessLog)] if settings.access_log else []),
            *([Middleware(RequestSpans, tracer=telemetry.tracer)] if telemetry.enabled else []),
            Middleware(metrics.RequestMetrics, meter=telemetry.meter, activity=attendant.activity),
            Middleware(PlainContent),
            *([Middleware(CORSMiddleware, **_cross_origin(settings))] if keyed and settings.allowed_origins else []),
            *([] if keyed else [Middleware(LoopbackGuard)]),
            Middleware(InHand, at_most=settings.max_requests),
            *([Middleware(ProxyHeadersMiddleware, trusted_hosts=settings.proxies)] if settings.proxies else []),
            Middleware(Turnstile, rates=rates, before_door=True),
            Middleware(Door, porter=attendant.link if keyed else None),
            Middleware(Turnstile, rates=rates, before_door=False),
            *([Middleware(Shares, at_most=settings.max_requests)] if keyed else []),
        ],
    )
    app.state.link = attendant.link
    problems.install(app)
    for module in ROUTES:
        app.router.routes.extend(module.router.routes)  # flat: included routers are matched one inside the other
    plain = app.openapi
    app.openapi = lambda: app.openapi_schema or completed(plain(), open_to_all=OPEN)  # type: ignore[method-assign]
    return app


def _cross_origin(settings: GatewaySettings) -> dict[str, Any]:
    """What pages of the allowed origins may send and see. Browsers add nothing by themselves that would let anybody in."""
    return {
        "allow_origins": settings.allowed_origins,
        "allow_methods": ("GET", "POST", "PUT", "PATCH", "DELETE"),
        "allow_headers": (
            "Authorization",
            "X-API-Key",
            "Content-Type",
            "Idempotency-Key",
            "Last-Event-ID",
            "If-Match",
            "If-None-Match",
            "traceparent",
        ),
        "expose_headers": (
            "Waggle-Query-Id",
            "X-Request-Id",
            "Retry-After",
            "RateLimit",
            "RateLimit-Policy",
            "ETag",
            "Idempotent-Replayed",
        ),
        "allow_credentials": False,
        "max_age": 600,
    }


class _Attendant:
    """Owns the broker connection for as long as the application runs."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        limits: Limits,
        drain: Drain,
        on_closed: Callable[[], None] | None,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._drain = drain
        self._on_closed = on_closed
        self._telemetry = telemetry
        self._leave = asyncio.Event()
        self.activity = Activity()
        self.link = Link()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        attending = asyncio.create_task(self._attend())
        try:
            yield
        finally:
            self._drain.begin()
            self._drain.end()
            await self._dismissed(attending)

    async def _dismissed(self, attending: asyncio.Task[None]) -> None:
        """Let it leave in order if it has arrived; one that still waits for a broker is cut short."""
        self._leave.set()
        if self.link.backend is None:
            attending.cancel()
        await asyncio.wait({attending})

    async def _attend(self) -> None:
        try:
            name = f"{SERVICE}-{self._settings.instance}"
            broker = await Broker.connect(self._settings, name=name, on_closed=self._on_closed)
            broker.measure(self._telemetry)
            try:
                await self._work_with(broker)
            finally:
                self.link.backend = None
                await broker.close()
        except Exception as error:
            log.exception("the gateway cannot go on")
            self._drain.fail(error)

    async def _work_with(self, broker: Broker) -> None:
        async with connected(
            self._settings,
            broker,
            limits=self._limits,
            drain=self._drain,
            activity=self.activity,
            telemetry=self._telemetry,
        ) as backend:
            self.link.backend = backend
            log.info("broker connected")
            await self._leave.wait()
