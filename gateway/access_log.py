"""One line of log for each request: who asked for which route from where, what came of it, and what it cost."""

from __future__ import annotations

import time
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.identity import OPEN, known_identity
from gateway.metrics import method_of, route_of

FAILED: Final = 500

log = structlog.get_logger("gateway.access")


class AccessLog:
    """Told at the end of the response, or when there will be none (`status` is null: its asker has gone). Neither paths nor
    parameters are in it, which hold ids and contents. Probes are told at the level debug.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        seen = _Seen()

        async def counted_in() -> Message:
            message = await receive()
            seen.bytes_in += len(message.get("body", b""))
            return message

        async def counted_out(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            seen.bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted_in, counted_out)
        except Exception:
            seen.status = seen.status or FAILED
            raise
        finally:
            tell = log.debug if scope["path"] in OPEN else log.info
            tell("request", **_said(scope, seen), duration_ms=round(1000 * (time.perf_counter() - started), 3))


class _Seen:
    def __init__(self) -> None:
        self.status: int | None = None
        self.bytes_in = 0
        self.bytes_out = 0


def _said(scope: Scope, seen: _Seen) -> dict[str, Any]:
    identity = known_identity(scope)
    client = scope.get("client")
    return {
        "method": method_of(scope),
        "route": route_of(scope),
        "status": seen.status,
        "bytes_in": seen.bytes_in,
        "bytes_out": seen.bytes_out,
        "client": client[0] if client else None,
        "principal": identity.principal if identity else None,
        "key": identity.key if identity else None,
        "tenant": identity.tenant if identity else None,
    }
