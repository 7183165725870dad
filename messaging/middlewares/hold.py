"""Keeps a message in hand while something that its work needs is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from messaging.breaker import Breaker
from messaging.delivery import Incoming
from messaging.errors import BackendAwayError, BrokerUnavailableError, StreamFullError
from messaging.middlewares.base import Next

MAX_FAILED_CALLS = 3
"""Of one delivery to a backend that is away after each. A message that brings its backend down does that every time."""
BROKER_PATIENCE_S = 120.0
"""After so long a part of the broker that does not answer, while the broker does, is the message's own failure."""

FULL_FIRST_PAUSE_S = 0.5
FULL_LONGEST_PAUSE_S = 5.0
"""Between tries to store something in a stream that is full."""

log = structlog.get_logger(__name__)


class Hold:
    """Hands the message to its handler again when what was away is back, all within one delivery.

    A delayed redelivery would count, and an outage would use up the attempts of messages that have done nothing wrong.
    The deadline ends a hold, and so does the end of the process (`HandedBackError`). A message whose own calls find the
    backend gone too often fails this attempt: it may be the cause. A broker that is away is waited for in the same
    manner, and so is room in a stream that is full: that is how a slow stage slows those before it.
    """

    def __init__(self, broker: Breaker, *, jitter: Callable[[], float] = random.random) -> None:
        self._broker = broker
        self._jitter = jitter

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        failed_calls, patient_until, pause_s = 0, None, FULL_FIRST_PAUSE_S
        while True:
            try:
                await call_next(incoming)
            except BackendAwayError as away:
                failed_calls += away.tried
                if failed_calls > MAX_FAILED_CALLS:
                    raise
                waiting = away.breaker.closed()
            except BrokerUnavailableError as error:
                now = asyncio.get_running_loop().time()
                patient_until = patient_until or now + BROKER_PATIENCE_S
                if now > patient_until:
                    raise
                self._broker.open(error)
                waiting = self._broker.closed()
            except StreamFullError as full:
                log.warning("held until there is room", consumer=incoming.consumer.durable, reason=str(full))
                waiting = self._broker.rest(pause_s * (0.5 + self._jitter() / 2))
                pause_s = min(2 * pause_s, FULL_LONGEST_PAUSE_S)
            else:
                return
            await self._held(incoming, waiting)

    async def _held(self, incoming: Incoming[Any], waiting: Awaitable[None]) -> None:
        log.debug(
            "held",
            consumer=incoming.delivery.consumer,
            sequence=incoming.delivery.sequence,
            attempt=incoming.delivery.attempt,
        )
        incoming.held = True
        try:
            await waiting
        finally:
            incoming.held = False
            incoming.resumed_at = asyncio.get_running_loop().time()
