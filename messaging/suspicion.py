"""Messages that may be what ended the process before.

A message that kills its process takes with it whatever else that had in hand, and all of it comes again at the same time:
together they would use up their deliveries and be given up together. So what was delivered before without an end is
handled by itself, in an order that turns round with every delivery: whatever stood behind the culprit stands before it
the next time, and is done before it strikes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from messaging.delivery import Delivery

UNSUSPECTED_DELIVERIES = 2
"""One repetition says nothing: processes end for many reasons, and most that comes again is in a hurry."""

GATHER_S = 0.5
"""What died together comes again together: within this time all of it is here, and the order can be told."""


def is_suspect(delivery: Delivery) -> bool:
    """Whether the message is to be handled by itself."""
    return delivery.attempt > UNSUSPECTED_DELIVERIES


class Turns:
    """Suspects of one process, one at a time."""

    def __init__(self, *, gather_s: float = GATHER_S) -> None:
        self._gather_s = gather_s
        self._here: list[Delivery] = []
        self._served: Delivery | None = None
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, suspect: Delivery) -> AsyncIterator[None]:
        """Run the body when it is this suspect's turn."""
        self._here.append(suspect)
        try:
            await asyncio.sleep(self._gather_s)
            async with self._changed:
                await self._changed.wait_for(lambda: self._served is None and min(self._here, key=_place) is suspect)
                self._served = suspect
            yield
        finally:
            self._here = [other for other in self._here if other is not suspect]
            if self._served is suspect:
                self._served = None
            async with self._changed:
                self._changed.notify_all()


def _place(suspect: Delivery) -> int:
    """The lowest goes first."""
    return suspect.sequence if suspect.attempt % 2 else -suspect.sequence
