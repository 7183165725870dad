"""Keeps a message in hand while something that its work needs is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from messaging.activity import Activity
from messaging.breaker import Breaker
from messaging.delivery import Incoming
from messaging.errors import BackendAwayError, BrokerUnavailableError, StreamFullError
from messaging.middlewares.base import Next

HELD = (BackendAwayError, BrokerUnavailableError, StreamFullError)
"""What is waited for, within the same delivery."""

MAX_FAILED_CALLS = 3
"""Of one delivery to a backend that is away after each. A message that brings its backend down does that every time."""
BROKER_PATIENCE_S = 120.0
"""After so long a part of the broker that does not answer, while the broker does, is the message's own failure."""

FULL_FIRST_PAUSE_S = 0.5
FULL_LONGEST_PAUSE_S = 5.0
"""Between tries to store something in a stream that is full."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Hold:
    """Hands the message to its handler again when what was away is back, all within one delivery.

    A delayed redelivery would count, and an outage would use up the attempts of messages that have done nothing wrong.
    The deadline ends a hold, and so does the end of the process (`HandedBackError`). A message whose own calls find the
    backend gone too often fails this attempt: it may be the cause. A broker that is away is waited for in the same
    manner, and so is room in a stream that is full: that is how a slow stage slows those before it.
    """

    def __init__(self, broker: Breaker, activity: Activity, *, jitter: Callable[[], float] = random.random) -> None:
        self._broker = broker
        self._activity = activity
        self._jitter = jitter

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        await self.until_done(incoming, lambda: call_next(incoming))

    async def until_done(self, incoming: Incoming[Any], step: Callable[[], Awaitable[T]]) -> T:
        """What `step` returns once what it needs is there; it must bear repetition. Raises as the class says."""
        patience = _Patience(self._broker, self._jitter)
        while True:
            try:
                return await step()
            except HELD as error:
                waiting = patience.with_(error)
            if await self._held(incoming, waiting):
                patience.renew()

    async def _held(self, incoming: Incoming[Any], waiting: Awaitable[bool]) -> bool:
        log.debug(
            "held",
            consumer=incoming.delivery.consumer,
            sequence=incoming.delivery.sequence,
            attempt=incoming.delivery.attempt,
        )
        with incoming.on_hold(), self._activity.on_hold(incoming.raw.reply):
            return await waiting


class _Patience:
    """How much longer one delivery may be held."""

    def __init__(self, broker: Breaker, jitter: Callable[[], float]) -> None:
        self._broker = broker
        self._jitter = jitter
        self._failed_calls = 0
        self._pause_s = FULL_FIRST_PAUSE_S
        self._broker_until: float | None = None

    def with_(self, error: BackendAwayError | BrokerUnavailableError | StreamFullError) -> Awaitable[bool]:
        """What to wait for; whether it was away as a whole. Raises `error` when patience is at its end."""
        if isinstance(error, BackendAwayError):
            self._failed_calls += error.tried
            if self._failed_calls > MAX_FAILED_CALLS:
                raise error
            return error.breaker.closed()
        if isinstance(error, StreamFullError):
            log.warning("held until there is room", reason=str(error))
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, FULL_LONGEST_PAUSE_S)
            return self._broker.rest(pause_s * (0.5 + self._jitter() / 2))
        now = asyncio.get_running_loop().time()
        self._broker_until = self._broker_until or now + BROKER_PATIENCE_S
        if now > self._broker_until:
            raise error
        self._broker.open(error)
        return self._broker.closed()

    def renew(self) -> None:
        """It was away as a whole: patience with a part of the broker that does not answer begins anew."""
        self._broker_until = None
