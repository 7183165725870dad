"""Stops a message that was delivered as often as may be and never came to an end."""

from __future__ import annotations

from typing import Any

from contracts.errors import ErrorCode, PermanentError
from messaging.delivery import Incoming
from messaging.middlewares.base import Next


class LastDelivery:
    """Does not hand out the last delivery that the consumer allows, and raises `PermanentError` instead.

    After it the broker would keep the message, undelivered and unseen. What gets here did not use up its attempts: its
    deliveries were handed back, or ended before it was handled.
    """

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        if 0 < incoming.consumer.max_deliver <= incoming.delivery.attempt:
            raise PermanentError(
                f"{incoming.consumer.max_deliver - 1} deliveries ended without an answer: the process died or was cut off each time",
                code=ErrorCode.RETRIES_EXHAUSTED,
            )
        await call_next(incoming)
