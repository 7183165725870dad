"""Provisioning from programs that have no event loop of their own."""

from __future__ import annotations

import asyncio

from contracts.settings import BrokerSettings
from deploy.local.errors import BrokerAwayError
from messaging.broker import Broker
from messaging.provisioning import provision as apply

CONNECT_S = 30.0


def provision(settings: BrokerSettings) -> list[str]:
    """Make the broker match the topology table; returns what was done.

    Raises `BrokerAwayError` when none answers within 30 s, `ProvisioningError` when a change is refused.
    """
    return asyncio.run(_provision(settings))


async def _provision(settings: BrokerSettings) -> list[str]:
    try:
        async with asyncio.timeout(CONNECT_S):
            broker = await Broker.connect(settings, name="provision", on_closed=lambda: None)
    except TimeoutError:
        raise BrokerAwayError(
            f"no broker answers at {settings.nats_url}: start one, or set WAGGLE_NATS_URL to where it runs"
        ) from None
    try:
        return await apply(broker)
    finally:
        await broker.close()
