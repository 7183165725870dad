"""Which broker a command talks to, where it is not the gateway's business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.exits import CommandError, Exit
from contracts.settings import AllSettings, BrokerSettings
from messaging.broker import Broker

CONNECT_S = 30.0


@asynccontextmanager
async def connected(name: str) -> AsyncIterator[Broker]:
    """The broker of `WAGGLE_NATS_URL` where it is set, else of the stack that runs in the data folder, else at the
    default address; credentials are those of the settings. `name` is what the broker calls this client.
    """
    settings = broker_settings()
    try:
        async with asyncio.timeout(CONNECT_S):
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
    from deploy.local.addresses import RunningStack
    from deploy.local.layout import Layout

    settings, broker = AllSettings.load(), BrokerSettings.load()
    if "nats_url" in settings.model_fields_set:
        return broker
    running = RunningStack.read(Layout(settings.data_dir.absolute()))
    return broker.model_copy(update={"nats_url": running.nats_url}) if running else broker
