"""Messages as they pass by: core subscriptions, which miss what is published while they are disconnected."""

from __future__ import annotations

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


@asynccontextmanager
async def listening(broker: Broker, *subjects: str, hear: Callable[[Live], Awaitable[None]]) -> AsyncIterator[None]:
    """Call `hear` for each message of the subjects (wildcards allowed), one at a time per subject, during the body."""

    async def on_message(message: Msg) -> None:
        await hear(Live(message.subject, message.headers or {}, message.data))

    subscriptions = [await broker.nc.subscribe(subject, cb=on_message) for subject in subjects]
    try:
        yield
    finally:
        if not broker.nc.is_closed:
            for subscription in subscriptions:
                await subscription.unsubscribe()
