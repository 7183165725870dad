"""Handles suspects one at a time."""

from __future__ import annotations

from typing import Any

from messaging.attempts import is_suspect
from messaging.delivery import Incoming
from messaging.middlewares.base import Next
from messaging.middlewares.hold import HELD
from messaging.suspicion import Turns


class Isolation:
    """Lets messages through at once, but suspects (`messaging.suspicion`) one by one.

    Two middlewares: `by_itself` waits for the turn, where a deadline ends the wait and a broker that is away a hold;
    `until_settled` ends it, after the acknowledgement, for whatever comes next may end the process. One that is held
    leaves its turn to the others.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def until_settled(self, incoming: Incoming[Any], call_next: Next) -> None:
        try:
            await call_next(incoming)
        finally:
            self._turns.leave(incoming.delivery)

    async def by_itself(self, incoming: Incoming[Any], call_next: Next) -> None:
        if is_suspect(incoming.delivery):
            with incoming.on_hold():
                await self._turns.take(incoming.delivery)
        try:
            await call_next(incoming)
        except HELD:
            self._turns.leave(incoming.delivery)
            raise
