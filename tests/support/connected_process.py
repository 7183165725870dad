"""A process that does nothing but hold a connection: `python -m tests.support.connected_process`."""

from __future__ import annotations

import asyncio

from contracts.settings import BrokerSettings
from messaging.broker import Broker


async def main() -> None:
    await Broker.connect(BrokerSettings.load(), name="holder")
    print("connected", flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
