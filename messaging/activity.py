"""What a process has in hand: how much, for how long, and when it last finished something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Activity:
    """Counts messages from the moment they are handed over by the broker until they are settled."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._last_progress: float | None = None
        self.progress = 0

    @property
    def in_flight(self) -> int:
        return len(self._started)

    @property
    def oldest_in_flight_s(self) -> float | None:
        """Age of the oldest message in hand; None when there is none."""
        oldest = next(iter(self._started.values()), None)  # dicts keep the order of insertion
        return None if oldest is None else self._monotonic() - oldest

    @property
    def last_progress_ago_s(self) -> float | None:
        return None if self._last_progress is None else self._monotonic() - self._last_progress

    def begin(self, key: str) -> None:
        self._started[key] = self._monotonic()
        self._idle.clear()

    def end(self, key: str) -> None:
        """Count a message as finished, however it ended."""
        self._started.pop(key, None)
        self.progress += 1
        self._last_progress = self._monotonic()
        if not self._started:
            self._idle.set()

    async def wait_idle(self, *, timeout_s: float) -> bool:
        """True when nothing is in hand any more, False when that was not so within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
