"""Handles suspects one at a time."""

from __future__ import annotations

from typing import Any

from messaging.delivery import Incoming
from messaging.middlewares.base import Next
from messaging.suspicion import Turns, is_suspect


class Isolation:
    """Lets messages through at once, but suspects (`messaging.suspicion`) one by one."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        if not is_suspect(incoming.delivery):
            await call_next(incoming)
            return
        async with self._turns.turn(incoming.delivery):
            await call_next(incoming)
