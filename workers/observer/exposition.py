"""`/metrics` of the observer: a small HTTP server that cannot be held up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from observability.exposition.formats import Format, chosen_format

MOST_CONNECTIONS: Final = 32
CONNECTION_S: Final = 30.0
"""How long a connection lives: one request has to come and its response has to be taken within that."""
HEAD_MAX_BYTES: Final = 16 * 1024
STOP_S: Final = 2
REBIND_S: Final = 10.0

Render = Callable[[Format], bytes]

log = structlog.get_logger(__name__)


class MetricsEndpoint:
    """Answers `GET /metrics` with what `render` makes, in a thread, one at a time.

    An address that is taken is tried again: of several observers on a host one shows the figures, and another takes over
    when it ends. A request that comes while another is rendered waits; past `MOST_CONNECTIONS` it is answered 503.
    """

    def __init__(self, render: Render, *, host: str, port: int) -> None:
        self._render = render
        self._host = host
        self._port = port
        self._turn = asyncio.Lock()
        self.listening = asyncio.Event()
        """Set once requests are taken; `url` is known from then on."""
        self.url = ""

    async def run(self) -> None:
        """Serve until cancelled."""
        async with self._bound() as listener:
            server = _Server(self._config())
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                host, port = listener.getsockname()[:2]
                self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
                log.info("figures are shown", url=self.url)
                self.listening.set()
                await asyncio.shield(serving)
            finally:
                server.should_exit = True
                await asyncio.wait({serving}, timeout=2 * STOP_S)
                serving.cancel()

    @contextlib.asynccontextmanager
    async def _bound(self) -> AsyncIterator[socket.socket]:
        said = False
        while True:
            try:
                listener = await asyncio.to_thread(_listener, self._host, self._port)
            except OSError as error:
                if not said:
                    reason, where = error.strerror or str(error), f"{self._host}:{self._port}"
                    log.warning("figures are not shown: the address cannot be had", address=where, reason=reason)
                said = True
                await asyncio.sleep(REBIND_S)
                continue
            with listener:
                yield listener
            return

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            Starlette(routes=[Route("/metrics", self._metrics, methods=["GET"])]),
            loop="none",
            http=_BriefConnection,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            timeout_graceful_shutdown=STOP_S,
        )

    async def _metrics(self, request: Request) -> Response:
        chosen = chosen_format(accept=request.headers.get("accept", ""), named=request.query_params.get("format"))
        if chosen is None:
            formats = " or ".join(Format)
            return PlainTextResponse(f"format is {formats}\n", status_code=400, headers=_CLOSE)
        async with self._turn:
            body = await asyncio.to_thread(self._render, chosen)
        return Response(body, headers=_CLOSE | {"Content-Type": chosen.content_type})


_CLOSE: Final = {"Connection": "close"}
"""One request for each connection, so that the life of a connection bounds all that can take long in it."""


class _BriefConnection(H11Protocol):
    """A connection that is cut off when its time is over, whatever is still under way."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._end = self.loop.call_later(CONNECTION_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._end is not None:
            self._end.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to the worker that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(host: str, port: int) -> socket.socket:
    """Raises `OSError` when the address is not one of this host, or is taken."""
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(MOST_CONNECTIONS)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
