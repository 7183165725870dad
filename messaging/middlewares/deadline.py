"""Ends work that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from messaging.clock import BrokerClock
from messaging.delivery import Delivery, Incoming, Outcome
from messaging.middlewares.base import Next
from messaging.middlewares.hold import Hold

DeadlineOf = Callable[[Any, Delivery], datetime | None]
OnExpired = Callable[[Any, Delivery], Awaitable[None]]


class Deadline:
    """Sets `delivery.deadline`, and lets nothing run past it.

    A message found past its deadline is not handed on, a handler that reaches it is cancelled; either way `on_expired`
    is called and the message counts as done; while that cannot be stored the message is held. Deadlines are in the
    broker's time.
    """

    def __init__(
        self, clock: BrokerClock, hold: Hold, *, deadline_of: DeadlineOf | None, on_expired: OnExpired | None
    ) -> None:
        self._clock = clock
        self._hold = hold
        self._deadline_of = deadline_of
        self._on_expired = on_expired

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        deadline = self._deadline_of and self._deadline_of(incoming.message, incoming.delivery)
        if deadline is None:
            await call_next(incoming)
            return
        incoming.delivery = replace(incoming.delivery, deadline=deadline)
        if await self._in_time(incoming, call_next, self._clock.remaining_s(deadline)):
            return
        incoming.outcome = Outcome.EXPIRED
        if (on_expired := self._on_expired) is not None:
            await self._hold.until_done(incoming, lambda: on_expired(incoming.message, incoming.delivery))

    async def _in_time(self, incoming: Incoming[Any], call_next: Next, left_s: float) -> bool:
        if left_s <= 0:
            return False
        try:
            async with asyncio.timeout(left_s) as limit:
                await call_next(incoming)
        except TimeoutError:
            if limit.expired():
                return False
            raise
        return True
