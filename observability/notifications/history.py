"""The history of notifications: what was sent to whom and why, and what could not be."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

import structlog

from contracts.errors import TransientError, WaggleError
from contracts.notifications import NotificationEvent

MAX_WAITING = 1000
RETRY_S = 1.0

log = structlog.get_logger(__name__)


class History(Protocol):
    """Keeps events. Raises `TransientError` when it is away; told again, an event is kept once."""

    async def keep(self, event: NotificationEvent) -> None: ...


class RecentHistory:
    """The last events, in memory."""

    def __init__(self, *, limit: int = MAX_WAITING) -> None:
        self.events: deque[NotificationEvent] = deque(maxlen=limit)

    async def keep(self, event: NotificationEvent) -> None:
        self.events.append(event)


class Scribe:
    """Hands events on without holding up who tells them. While the history is away the newest `MAX_WAITING` wait; older ones are
    lost and counted, as are those that the history refuses.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._waiting: deque[NotificationEvent] = deque()
        self._some = asyncio.Event()
        self.lost = 0

    def note(self, event: NotificationEvent) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(event)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.flush()

    async def flush(self) -> None:
        """Hand on all that waits, for as long as that takes."""
        while self._waiting:
            event = self._waiting[0]
            try:
                await self._history.keep(event)
            except TransientError as error:
                log.warning("history of notifications is away", reason=str(error), waiting=len(self._waiting))
                await asyncio.sleep(RETRY_S)
                continue
            except WaggleError as error:  # it would be refused for ever, and all that waits behind it with it
                log.warning("not kept in the history of notifications", reason=str(error), notification=event.id)
                self.lost += 1
            if self._waiting and self._waiting[0] is event:
                self._waiting.popleft()
