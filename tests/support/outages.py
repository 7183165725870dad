"""Takes the broker away and brings it back, as a crash would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from tests.support.waiting import until


@asynccontextmanager
async def outage(server: NatsServer, *brokers: Broker) -> AsyncIterator[None]:
    """The body runs while the broker is dead; afterwards all `brokers` are connected to it again."""
    before = [broker.nc.stats["reconnects"] for broker in brokers]
    await asyncio.to_thread(server.kill)
    await until(lambda: not any(broker.is_connected for broker in brokers))
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)
    await until(
        lambda: all(
            broker.is_connected and broker.nc.stats["reconnects"] > count
            for broker, count in zip(brokers, before, strict=True)
        ),
        what="all are connected again",
    )


async def crash(server: NatsServer, *brokers: Broker) -> None:
    """Kill the broker and start it again."""
    async with outage(server, *brokers):
        pass
