"""Messages as they pass by: core subscriptions, which miss what is published while they are disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.msg import Msg

from messaging.broker import Broker


@dataclass(frozen=True, slots=True)
class Live:
    """A message that was just published; whether a stream has stored it is not known."""

    subject: str
    headers: Mapping[str, str]
    data: bytes
    reply: str = ""


@asynccontextmanager
async def listening(
    broker: Broker, *subjects: str, hear: Callable[[Live], Awaitable[None]], group: str = ""
) -> AsyncIterator[None]:
    """Call `hear` for each message of the subjects (wildcards allowed), one at a time per subject, during the body.

    Of all that listen in the same `group` one hears each message.
    """

    async def on_message(message: Msg) -> None:
        await hear(Live(message.subject, message.headers or {}, message.data, message.reply))

    subscriptions = [await broker.nc.subscribe(subject, queue=group, cb=on_message) for subject in subjects]
    try:
        yield
    finally:
        if not broker.nc.is_closed:
            for subscription in subscriptions:
                await subscription.unsubscribe()


async def woken_within(woken: asyncio.Event, timeout_s: float) -> bool:
    """Whether somebody who listens set `woken` in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await woken.wait()
    except TimeoutError:
        return False
