"""Keeps the index fast: folds in what is new, in the background, for a small share of the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from contracts.errors import TransientError

LEAST_PAUSE_S = 5.0
BUSY_SHARE = 0.1
"""At most this share of the time is spent on it, so that writing and searching go on."""

log = structlog.get_logger(__name__)


class Upkeep:
    """Optimizes the index some time after it was changed; never twice at once in one process."""

    def __init__(
        self,
        optimize: Callable[[], Awaitable[None]],
        *,
        least_pause_s: float = LEAST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._optimize = optimize
        self._least_pause_s = least_pause_s
        self._clock = clock
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Say that rows were written or deleted."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. An index that fails is tried again after the next pause."""
        pause_s = self._least_pause_s
        while True:
            await self._changed.wait()
            await asyncio.sleep(pause_s)
            self._changed.clear()
            started = self._clock()
            try:
                await self._optimize()
            except TransientError as error:
                log.warning("index not optimized, trying again", reason=str(error))
                self._changed.set()
            pause_s = max(self._least_pause_s, (self._clock() - started) / BUSY_SHARE)
