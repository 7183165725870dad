"""How many processes of a service are expected to be alive, learnt from how many there were."""

from __future__ import annotations

from collections import deque
from typing import Final

SETTLED: Final = 15
"""Judgements in a row that a number must hold for to be expected: 30 s, so that a process which is about to be noticed as
dead and the one that replaced it do not count as two."""
WINDOW_S: Final = 900.0


class Expectation:
    """The largest number of processes that were alive together within the last 15 minutes.

    Those that were told to stop are not missed. A service of which none lives, though nobody told the last one to stop, is
    expected to have one however long that was ago: an outage does not become usual. `known` is what somebody else expected
    at `now`.
    """

    def __init__(self, known: int = 0, *, now: float = 0.0) -> None:
        self._lately: deque[int] = deque(maxlen=SETTLED)
        # Larger numbers only ever stand before smaller ones, so the first is the largest of the window.
        self._maxima: deque[tuple[float, int]] = deque()
        self._missed = False
        if known:
            self._settle(known, now)

    @property
    def number(self) -> int:
        """How many are expected."""
        return max(self._maxima[0][1] if self._maxima else 0, int(self._missed))

    def observe(self, alive: int, *, now: float) -> None:
        """`alive` processes are there at `now`; called with each judgement."""
        self._lately.append(alive)
        if len(self._lately) == SETTLED:
            self._settle(min(self._lately), now)
        while self._maxima and now - self._maxima[0][0] > WINDOW_S:
            self._maxima.popleft()

    def leave(self) -> None:
        """One stopped as it was told to: it never counted."""
        self._lately = deque((max(0, alive - 1) for alive in self._lately), maxlen=SETTLED)
        self._maxima = deque((at, max(0, number - 1)) for at, number in self._maxima)
        if not self._maxima or self._maxima[0][1] == 0:
            self._missed = False

    def _settle(self, number: int, now: float) -> None:
        while self._maxima and self._maxima[-1][1] <= number:
            self._maxima.pop()
        self._maxima.append((now, number))
        self._missed = self._missed or number > 0
