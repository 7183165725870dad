"""Runs the gateway until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import Iterator

import structlog
import uvicorn

from contracts.gateway_settings import Auth
from contracts.settings import GatewaySettings
from contracts.settings_source import ConfigurationError
from gateway.app import create_app
from gateway.drain import Drain
from gateway.heartbeats import SERVICE
from gateway.protocol import BoundedHttpProtocol
from messaging.self_measurement import process_telemetry
from messaging.stack_dumps import answer_dump_signal, stack_file
from observability.logging import configure_logging

KEEP_ALIVE_S = 30
BACKLOG = 1024
EXIT_FAILED = 1

log = structlog.get_logger(__name__)


async def serve(settings: GatewaySettings) -> int:
    """Serve HTTP until SIGTERM or SIGINT, finish what is in hand, and return the exit code.

    Raises `ConfigurationError` for an address that is taken, or that others reach although nobody shows a key.
    """
    configure_logging(level=settings.log_level, format=settings.log_format, service=SERVICE, instance=settings.instance)
    answer_dump_signal(stack_file(SERVICE, settings))
    listener = bind(settings.gateway_host, settings.gateway_port, keyed=settings.auth is Auth.KEYS)
    telemetry = process_telemetry(SERVICE, settings, prometheus=True)
    drain = Drain(timeout_s=settings.drain_timeout_s)
    server = GatewayServer(config(create_app(settings, drain=drain, telemetry=telemetry), settings), drain)
    host, port = listener.getsockname()[:2]
    gc.collect()
    gc.freeze()  # what is there now stays: collections need not walk through it
    log.info("listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        await server.serve(sockets=[listener])
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    return EXIT_FAILED if drain.failure is not None else 0


def bind(host: str, port: int, *, keyed: bool = False) -> socket.socket:
    """A listening socket. Raises `ConfigurationError` when it is taken, and where not `keyed` for any address but loopback."""
    family, address = _address(host, keyed=keyed)
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio sets no TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"WAGGLE_GATEWAY_PORT: cannot listen on {host}:{port} ({error.strerror}). Stop what uses it, or choose "
            "another port, for example WAGGLE_GATEWAY_PORT=8081."
        ) from error
    listener.setblocking(False)
    return listener


def _address(host: str, *, keyed: bool) -> tuple[socket.AddressFamily, str]:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise ConfigurationError(
            f"WAGGLE_GATEWAY_HOST: {host} is no address of this host. Example: WAGGLE_GATEWAY_HOST=127.0.0.1"
        ) from None
    if not keyed and not address.is_loopback:
        raise ConfigurationError(
            f"WAGGLE_GATEWAY_HOST: {host} is refused. With WAGGLE_AUTH=development nobody shows a key, so anybody who reaches "
            "the gateway may read and delete every document: it listens on loopback only. Examples: WAGGLE_AUTH=keys, or "
            "WAGGLE_GATEWAY_HOST=127.0.0.1"
        )
    return (socket.AF_INET6 if address.version == 6 else socket.AF_INET), str(address)


def config(app: object, settings: GatewaySettings) -> uvicorn.Config:
    """Uvicorn as the gateway needs it: no access log, bounded heads, no trust in forwarding headers."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        loop="none",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout_s)),
    )


class GatewayServer(uvicorn.Server):
    """Uvicorn that tells the application when it begins to stop, and returns instead of dying of the signal."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for wanted in signals:
            loop.add_signal_handler(wanted, self._stop, wanted)
        try:
            yield
        finally:
            for wanted in signals:
                loop.remove_signal_handler(wanted)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._drain.begun.is_set()

    def _stop(self, received: signal.Signals) -> None:
        """A second Ctrl-C does not wait for what is in hand."""
        log.info("stopping", signal=received.name)
        self.handle_exit(received, None)
        self._drain.begin()
