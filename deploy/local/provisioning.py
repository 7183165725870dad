"""Provisioning from programs that have no event loop of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from contracts.settings import BrokerSettings
from deploy.local.admin_key import ensure_key
from deploy.local.errors import BrokerAwayError
from messaging.broker import Broker
from messaging.provisioning import provision as apply


def provision(settings: BrokerSettings, *, connect_s: float, admin_key: Path | None = None) -> list[str]:
    """Make the broker match the topology table; returns what was done. With `admin_key` an API key of this host is in that file
    afterwards.

    Raises `BrokerAwayError` when none answers within `connect_s`, `ProvisioningError` when a change is refused.
    """
    return asyncio.run(_provision(settings, connect_s, admin_key))


async def _provision(settings: BrokerSettings, connect_s: float, admin_key: Path | None) -> list[str]:
    try:
        async with asyncio.timeout(connect_s):
            broker = await Broker.connect(settings, name="provision", on_closed=lambda: None)
    except TimeoutError:
        raise BrokerAwayError(
            f"no broker answers at {settings.nats_url}: start one, or set WAGGLE_NATS_URL to where it runs"
        ) from None
    try:
        done = await apply(broker)
        if admin_key is not None:
            await ensure_key(broker, admin_key)
        return done
    finally:
        await broker.close()
