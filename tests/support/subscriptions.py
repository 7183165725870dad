"""Subscriptions that the broker is known to have heard of."""

from __future__ import annotations

from messaging.broker import Broker


async def known_to_broker(broker: Broker) -> None:
    """Return once the broker has everything that was sent before.

    Not the library's `flush`: its ping goes straight to the socket and overtakes a subscription that is still buffered.
    A request waits in the same buffer, behind it.
    """
    await broker.js.account_info()
