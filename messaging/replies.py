"""Requests that are answered by several messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

from nats.aio.msg import Msg

from messaging.broker import Broker


class Replies:
    """One inbox subscription for all requests that are answered by several messages."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._prefix: str | None = None
        self._waiting: dict[str, asyncio.Queue[Msg]] = {}
        self._numbers = count()
        self._opening = asyncio.Lock()

    async def expected(self) -> AbstractContextManager[tuple[str, asyncio.Queue[Msg]]]:
        async with self._opening:
            if self._prefix is None:
                prefix = self._broker.nc.new_inbox()
                await self._broker.nc.subscribe(f"{prefix}.*", cb=self._deliver)
                self._prefix = prefix
        return self._expect(f"{self._prefix}.{next(self._numbers)}")

    @contextmanager
    def _expect(self, inbox: str) -> Iterator[tuple[str, asyncio.Queue[Msg]]]:
        self._waiting[inbox] = asyncio.Queue()
        try:
            yield inbox, self._waiting[inbox]
        finally:
            del self._waiting[inbox]

    async def _deliver(self, message: Msg) -> None:
        if (replies := self._waiting.get(message.subject)) is not None:
            replies.put_nowait(message)
