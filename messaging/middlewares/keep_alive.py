"""Tells the broker that a message is still being worked on, so that it is not delivered to somebody else."""

from __future__ import annotations

import asyncio
from typing import Any

import nats.errors
import structlog

from messaging.delivery import Incoming
from messaging.middlewares.base import Next

BEATS_PER_ACK_WAIT = 3

log = structlog.get_logger(__name__)


class KeepAlive:
    """Beats three times per ack wait while the message is in hand, for at most `limit_s` of work on it.

    The time for which it is held does not count, and work after that starts anew. The limit keeps a hung handler from holding its message for ever: after it the broker delivers the message again.
    `None` is for handlers that watch over their own progress.
    """

    def __init__(self, *, limit_s: float | None) -> None:
        self._limit_s = limit_s

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        interval_s = incoming.consumer.ack_wait_s / BEATS_PER_ACK_WAIT
        loop = asyncio.get_running_loop()
        beating: list[asyncio.Task[None]] = []

        def begin() -> None:  # most messages are done before their first beat is due and need no task
            beating.append(loop.create_task(self._beat(incoming, interval_s), name="keep-alive"))

        timer = loop.call_later(interval_s, begin)
        try:
            await call_next(incoming)
        finally:
            timer.cancel()
            for task in beating:
                task.cancel()

    async def _beat(self, incoming: Incoming[Any], interval_s: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time() - interval_s
        while not self._is_over(incoming, began, loop.time()):
            try:
                await incoming.raw.in_progress()
            except nats.errors.Error as error:  # the connection is going down; the message will come again
                log.debug("no beat", consumer=incoming.consumer.durable, reason=str(error))
            await asyncio.sleep(interval_s)

    def _is_over(self, incoming: Incoming[Any], began: float, now: float) -> bool:
        if self._limit_s is None or incoming.held:
            return False
        return now >= max(began, incoming.resumed_at) + self._limit_s
