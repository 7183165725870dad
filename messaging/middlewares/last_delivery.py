"""Stops a message that ended every attempt without a word."""

from __future__ import annotations

from typing import Any

from contracts.errors import ErrorCode, PermanentError
from messaging.delivery import Incoming
from messaging.middlewares.base import Next
from messaging.retries import handler_attempts


class LastDelivery:
    """Does not hand out the last delivery that the consumer allows, and raises `PermanentError` instead.

    After it the broker would keep the message, undelivered and unseen. A message that kills its process gets here
    without any error having been caught.
    """

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        attempts = handler_attempts(incoming.consumer)
        if incoming.delivery.attempt > attempts:
            raise PermanentError(
                f"{attempts:.0f} attempts ended without an answer: the process died or was cut off each time",
                code=ErrorCode.RETRIES_EXHAUSTED,
            )
        await call_next(incoming)
