"""Waiting for a moment of a clock that may jump, or until somebody says that there is something to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

LONGEST_LOOK_S = 1.0
"""The clock is looked at again so often: one that was put forward or back is noticed."""


class Pacing:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._woken = asyncio.Event()

    def hurry(self) -> None:
        """End the wait that is under way, or the next one."""
        self._woken.set()

    async def until(self, moment: datetime | None) -> None:
        """Return at `moment`, or somewhat before; with None only when there is something to do."""
        timeout_s = None
        if moment is not None:
            timeout_s = min(LONGEST_LOOK_S, max(0.0, (moment - self._clock()).total_seconds()))
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
