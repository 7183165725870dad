"""Keeps a message in hand while something that its work needs is away."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from messaging.breaker import Breaker
from messaging.delivery import Incoming
from messaging.errors import BackendAwayError, BrokerUnavailableError
from messaging.middlewares.base import Next

MAX_FAILED_CALLS = 3
"""Of one delivery to a backend that is away after each. A message that brings its backend down does that every time."""
BROKER_PATIENCE_S = 120.0
"""After so long a part of the broker that does not answer, while the broker does, is the message's own failure."""

log = structlog.get_logger(__name__)


class Hold:
    """Hands the message to its handler again when what was away is back, all within one delivery.

    A delayed redelivery would count, and an outage would use up the attempts of messages that have done nothing wrong.
    The deadline ends a hold, and so does the end of the process (`HandedBackError`). A message whose own calls find the
    backend gone too often fails this attempt: it may be the cause. A broker that is away is waited for in the same
    manner.
    """

    def __init__(self, broker: Breaker) -> None:
        self._broker = broker

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        failed_calls, patient_until = 0, None
        while True:
            try:
                await call_next(incoming)
            except BackendAwayError as away:
                failed_calls += away.tried
                if failed_calls > MAX_FAILED_CALLS:
                    raise
                breaker = away.breaker
            except BrokerUnavailableError as error:
                now = asyncio.get_running_loop().time()
                patient_until = patient_until or now + BROKER_PATIENCE_S
                if now > patient_until:
                    raise
                breaker = self._broker
                breaker.open(error)
            else:
                return
            await self._held(incoming, breaker)

    async def _held(self, incoming: Incoming[Any], breaker: Breaker) -> None:
        delivery = incoming.delivery
        log.debug("held", consumer=delivery.consumer, sequence=delivery.sequence, until_back=breaker.name)
        incoming.held = True
        try:
            await breaker.closed()
        finally:
            incoming.held = False
            incoming.resumed_at = asyncio.get_running_loop().time()
