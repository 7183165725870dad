"""Subscriptions that the broker is known to have heard of, and such as nothing is heard of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from messaging.broker import Broker


async def known_to_broker(broker: Broker) -> None:
    """Return once the broker has everything that was sent before.

    Not the library's `flush`: its ping goes straight to the socket and overtakes a subscription that is still buffered.
    A request waits in the same buffer, behind it.
    """
    await broker.js.account_info()


@asynccontextmanager
async def never_woken(_storage: object, _subject: str | None) -> AsyncIterator[asyncio.Event]:
    """In place of `Storage._woken_by`: followers find what they look for themselves, and nothing sooner."""
    yield asyncio.Event()
