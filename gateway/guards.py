"""What every request passes before its route: pure ASGI, since each wrapped stream costs a query its latency."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Problem, ProblemCode

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class LoopbackGuard:
    """Refuses requests that a web page elsewhere had a browser send here.

    A page may point a name of its own at 127.0.0.1 (DNS rebinding): then the Host header names it. Or it may post a
    form across origins without asking first: then the Origin header does.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str] = LOOPBACK_NAMES) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await refusal.response(scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        host = origin = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        if host is None or _host_name(f"//{host}") not in self._names:
            detail = "The Host header must be localhost, 127.0.0.1 or [::1]: this gateway serves its own host only."
            return Problem(421, ProblemCode.FORBIDDEN_HOST, detail)
        foreign = origin is not None and _host_name(origin) not in self._names
        if foreign and scope["method"] not in _SAFE_METHODS:
            return Problem(403, ProblemCode.FORBIDDEN_ORIGIN, "Pages of other origins may not change anything here.")
        return None


class PlainContent:
    """Tells browsers to take every response for what it is declared to be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, sealed)


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
