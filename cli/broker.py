"""Which broker a command talks to, where it is not the gateway's business."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from cli.exits import CommandError, Exit
from cli.output import messages
from cli.target import running_here
from contracts.settings import AllSettings, BrokerSettings
from deploy.local.access import settings_of
from deploy.local.layout import layout_of
from messaging import connection
from messaging.broker import Broker

CONNECT_S = 30.0
"""For a broker that is meant to be there: it may just be starting again."""
GUESS_S = 5.0
"""For the default address, when nothing says that a broker is there."""
SILENT_S = 2.0
"""How long a command waits for the broker without a word."""


@asynccontextmanager
async def connected(name: str, *, patience_s: float | None = None) -> AsyncIterator[Broker]:
    """The broker of `WAGGLE_NATS_URL` where it is set, else of the stack that runs in the data folder, else at the
    default address. Credentials are those of the settings; the stack's own broker is shown those in the data folder. `name` is what the broker calls this client.
    """
    settings = broker_settings()
    if patience_s is None:
        patience_s = CONNECT_S if "nats_url" in settings.model_fields_set else GUESS_S
    try:
        with _told_of_waiting(settings.nats_url):
            async with asyncio.timeout(patience_s):
                broker = await Broker.connect(settings, name=name, on_closed=lambda: None)
    except TimeoutError:
        raise CommandError(
            f"no broker answers at {settings.nats_url}",
            hint="Start Waggle with `waggle up`, or set WAGGLE_NATS_URL to where the broker runs.",
            code=Exit.UNREACHABLE,
        ) from None
    try:
        yield broker
    finally:
        await broker.close()


def broker_settings() -> BrokerSettings:
    settings, broker = AllSettings.load(), BrokerSettings.load()
    if "nats_url" in settings.model_fields_set:
        return broker
    running = running_here(settings, otherwise=broker.nats_url, variable="WAGGLE_NATS_URL")
    return settings_of(running, layout_of(settings)) if running else broker


@contextmanager
def _told_of_waiting(url: str) -> Iterator[None]:
    """One line for people, in place of the log lines that a process writes while it waits."""
    logger = logging.getLogger(connection.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    told = asyncio.get_running_loop().call_later(
        SILENT_S, lambda: messages().print(f"Waiting for the broker at {url}", style="dim")
    )
    try:
        yield
    finally:
        told.cancel()
        logger.setLevel(level)
