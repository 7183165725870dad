"""What a process has in hand: how much, for how long, and when it last finished something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


class Activity:
    """Counts messages from the moment they are handed over by the broker until they are settled."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started: dict[str, float] = {}
        self._worked_on: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._last_progress: float | None = None
        self._got_on: float | None = None
        self.arrivals = 0
        self.progress = 0

    @property
    def in_flight(self) -> int:
        return len(self._started)

    @property
    def oldest_in_flight_s(self) -> float | None:
        """Age of the oldest message in hand; None when there is none."""
        return self._oldest_s(self._started)

    @property
    def oldest_worked_on_s(self) -> float | None:
        """For how long the oldest is being worked on that is not held; None when there is none."""
        return self._oldest_s(self._worked_on)

    @property
    def last_progress_ago_s(self) -> float | None:
        return None if self._last_progress is None else self._monotonic() - self._last_progress

    @property
    def got_on_ago_s(self) -> float | None:
        """When something was finished, or got on, last; None when nothing ever was."""
        return None if self._got_on is None else self._monotonic() - self._got_on

    def begin(self, key: str) -> None:
        self._started[key] = self._worked_on[key] = self._monotonic()
        self.arrivals += 1
        self._idle.clear()

    @contextmanager
    def on_hold(self, key: str) -> Iterator[None]:
        """Nobody works on a message in the body; work on it begins anew after that."""
        self._worked_on.pop(key, None)
        try:
            yield
        finally:
            if key in self._started:
                self._worked_on[key] = self._monotonic()

    def get_on(self) -> None:
        """A handler that may take for ever has done a part of its work, or waits on purpose."""
        self._got_on = self._monotonic()

    def end(self, key: str) -> None:
        """Count a message as finished, however it ended."""
        self._started.pop(key, None)
        self._worked_on.pop(key, None)
        self.progress += 1
        self._last_progress = self._got_on = self._monotonic()
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

    def _oldest_s(self, began: Mapping[str, float]) -> float | None:
        oldest = next(iter(began.values()), None)  # dicts keep the order of insertion
        return None if oldest is None else self._monotonic() - oldest
