"""One way to connect to NATS, for every process.

The client never gives up reconnecting, finds a half-open connection within 20 s, and ends the process when it is closed
for good: a closed client cannot recover, and a process that lives on with one looks alive and does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import nats
import nats.errors
import structlog

from contracts.settings import BrokerSettings
from messaging.client import HeaderedClient
from messaging.credentials import credentials
from messaging.errors import ConnectionRefusedByBrokerError
from observability.repeats import is_power_of_ten

CONNECT_TIMEOUT_S = 5
RECONNECT_WAIT_S = 0.5
PING_INTERVAL_S = 10
MAX_OUTSTANDING_PINGS = 2
DRAIN_TIMEOUT_S = 5
CANCEL_S = 0.1
ADVISE_EVERY_S = 15.0
"""How often a process says that it waits for a broker that is not there."""
EXIT_CONNECTION_CLOSED = 70
"""Exit code (EX_SOFTWARE) of a process whose connection was closed for good; whatever runs it starts it again."""

_REFUSALS = ("authorization violation", "user authentication expired", "account authentication expired")

log = structlog.get_logger(__name__)


class Connection:
    """A NATS client and the callbacks that watch over it.

    `on_closed` is called when the client is closed without `close()` having been asked for; by default the process
    exits with `EXIT_CONNECTION_CLOSED`. `again` is set, and replaced, when a connection that had broken off is back.
    """

    def __init__(self, *, name: str, on_closed: Callable[[], None] | None = None) -> None:
        self.nc = HeaderedClient()
        self.again = asyncio.Event()
        self._name = name
        self._on_closed = on_closed or _exit_process
        self._established = False
        self._closing = False
        self._advise_at = 0.0
        self._advice = ""
        self._dropped = 0

    @classmethod
    async def open(
        cls, settings: BrokerSettings, *, name: str, on_closed: Callable[[], None] | None = None
    ) -> Connection:
        """Connect, waiting for a broker that is not there yet as long as it takes.

        Raises `ConnectionRefusedByBrokerError` when the broker answers but refuses the credentials, and
        `ConfigurationError` when a file of them cannot be used.
        """
        connection = cls(name=name, on_closed=on_closed)
        connection._advice = f"nobody answers at {settings.nats_url}: start the broker, or correct WAGGLE_NATS_URL"
        options = connection._options(settings)
        connecting = asyncio.create_task(connection.nc.connect(**options))
        try:
            await asyncio.wait({connecting})
            connecting.result()
        except BaseException:  # refused, or no longer wanted: leave no socket behind
            connection._closing = True
            await _ended(connecting)
            with contextlib.suppress(AssertionError):  # it had not even begun
                await connection.nc.close()
            raise
        connection._established = True
        return connection

    async def close(self) -> None:
        """Flush what is pending and close. Does not raise when the broker is away."""
        self._closing = True
        try:
            await self.nc.drain()
        except (nats.errors.Error, OSError) as error:  # a connection that is down cannot be drained
            log.debug("connection closed without drain", reason=str(error))
            await self.nc.close()

    def _options(self, settings: BrokerSettings) -> dict[str, Any]:
        return {
            "servers": [url.strip() for url in settings.nats_url.split(",") if url.strip()],
            "name": self._name,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_WAIT_S,
            "ping_interval": PING_INTERVAL_S,
            "max_outstanding_pings": MAX_OUTSTANDING_PINGS,
            "drain_timeout": DRAIN_TIMEOUT_S,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
            "closed_cb": self._on_closed_by_library,
            **credentials(settings),
        }

    async def _on_error(self, error: Exception) -> None:
        if self.nc.refusals.heed(error):
            return
        reason = str(error).removeprefix("nats: ").strip("'").lower()
        if not self._established and reason.startswith(_REFUSALS):
            raise ConnectionRefusedByBrokerError(
                f"the broker refuses the credentials ({reason}): check WAGGLE_NATS_USER, WAGGLE_NATS_PASSWORD, "
                "WAGGLE_NATS_TOKEN, WAGGLE_NATS_CREDENTIALS or WAGGLE_NATS_NKEY_SEED"
            ) from error
        if isinstance(error, nats.errors.SlowConsumerError):
            self._say_dropped(error)
        elif self._established:
            log.warning("broker connection", error=type(error).__name__, reason=str(error))
        elif time.monotonic() >= self._advise_at:
            self._advise_at = time.monotonic() + ADVISE_EVERY_S
            log.warning("waiting for the broker", reason=str(error) or type(error).__name__, advice=self._advice)

    def _say_dropped(self, error: nats.errors.SlowConsumerError) -> None:
        """Not a line for each message: they are dropped because there is too much to do already."""
        self._dropped += 1
        if is_power_of_ten(self._dropped):
            log.warning("messages come faster than they are taken", subject=error.subject, dropped=self._dropped)

    async def _on_disconnected(self) -> None:
        if not self._closing:
            log.warning("broker disconnected")

    async def _on_reconnected(self) -> None:
        log.info("broker reconnected", server=self._server())
        again, self.again = self.again, asyncio.Event()
        again.set()

    async def _on_closed_by_library(self) -> None:
        if not self._closing:
            log.error("broker connection closed for good", reason=str(self.nc.last_error))
            self._on_closed()

    def _server(self) -> str:
        url = self.nc.connected_url
        return f"{url.hostname}:{url.port}" if url else "unknown"


async def _ended(connecting: asyncio.Task[None]) -> None:
    """The library tries again for ever, and takes a cancellation that comes when an attempt fails for just that."""
    while not connecting.done():
        connecting.cancel()
        await asyncio.wait({connecting}, timeout=CANCEL_S)
    if not connecting.cancelled():
        connecting.exception()


def _exit_process() -> None:
    os._exit(EXIT_CONNECTION_CLOSED)
