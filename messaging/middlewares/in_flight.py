"""Counts a message as in hand until it is settled."""

from __future__ import annotations

from typing import Any

from messaging.activity import Activity
from messaging.delivery import Incoming
from messaging.middlewares.base import Next


class InFlight:
    """Ends what the intake began when it took the message over, so that none is between two counts."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        try:
            await call_next(incoming)
        finally:
            self._activity.end(incoming.raw.reply)
