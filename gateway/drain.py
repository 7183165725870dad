"""Stopping in two steps: first nothing new is begun, then what is still open is told to end."""

from __future__ import annotations

import asyncio

_MARGIN_S = 1.0


class Drain:
    """`begun` is set when the process is asked to stop, `over` shortly before the time for finishing has passed.

    Endless streams end at `begun`; answers under way may go on until `over`.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._allowed_s = max(timeout_s - _MARGIN_S, timeout_s / 2)
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.failure: Exception | None = None
        self._ending: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ending(self) -> asyncio.Future[object]:
        """One task for all who wait for `over` beside something else; do not cancel it."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self.over.wait())
        return self._ending

    def begin(self) -> None:
        if not self.begun.is_set():
            self.begun.set()
            self._timer = asyncio.get_running_loop().call_later(self._allowed_s, self.over.set)

    def fail(self, error: Exception) -> None:
        """Stop because of an error; whoever runs the process tells it by the exit code."""
        self.failure = error
        self.begin()

    def end(self) -> None:
        """Forget the timer: everything is done."""
        self.over.set()
        if self._timer is not None:
            self._timer.cancel()
