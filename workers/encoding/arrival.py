"""Waits for an encoder that is not there yet: a server of models takes its time to start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from contracts.errors import TransientError
from messaging.breaker import Breaker
from workers.encoding.base import Embedder

RETRY_S = 2.0

log = structlog.get_logger(__name__)


async def arrived(build: Callable[[], Awaitable[Embedder]], breaker: Breaker | None) -> Embedder:
    """What `build` gives, tried again while it is only away. Raises what else `build` raises.

    Meanwhile `breaker` is open, and tells the fleet what is waited for.
    """
    while True:
        try:
            embedder = await build()
        except TransientError as error:
            log.warning("waiting for the encoder", reason=str(error))
            if breaker is not None:
                breaker.open(error)
        else:
            if breaker is not None:
                breaker.close()
            return embedder
        await asyncio.sleep(RETRY_S)
