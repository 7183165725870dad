"""How much a stage gets done, and how long what waits for it will take: arithmetic on readings, without a clock or I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY_S = 10.0
"""A measurement of so long ago counts about a third of what it did."""
PATIENCE_S = 10.0
"""A stage of which no rate is known yet is taken to be starting for so long; then, to be standing still."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the broker said about a stage's consumer at a time (monotonic seconds).

    `waiting` was not handed out yet, `in_flight` is being worked on, `handed_out` counts all deliveries so far.
    """

    at_s: float
    waiting: int
    in_flight: int
    handed_out: int

    @property
    def backlog(self) -> int:
        return self.waiting + self.in_flight

    @property
    def finished(self) -> int:
        """Counts what was delivered and is not in hand any more; only differences mean something."""
        return self.handed_out - self.in_flight


class StageLoad:
    """The backlog of one stage and its service rate, from readings and from what was let in since the last one."""

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._rate: float | None = None
        self._standing_s = 0.0
        self._measured_s = 0.0
        self._let_in = 0

    @property
    def rate(self) -> float | None:
        """How many a second the stage can do; None while nothing is known."""
        return self._rate

    def observe(self, reading: Reading, *, useful: float = 1.0) -> None:
        """Take a reading; what was let in before is in it.

        `useful` is the share of what got done since the last one that was done in time: a stage that only throws away what
        came too late is fast, and does nothing.
        """
        if self._last is not None and reading.at_s > self._last.at_s:
            if reading.handed_out >= self._last.handed_out:
                self._learn(self._last, reading, useful)
            else:  # the consumer was made anew
                self._rate = None
        self._last = reading
        self._let_in = 0

    def let_in(self) -> None:
        """One more is on its way to this stage."""
        self._let_in += 1

    def backlog(self, now_s: float) -> float:
        """About how many wait or are worked on."""
        if self._last is None:
            return float(self._let_in)
        done = (self._rate or 0.0) * max(0.0, now_s - self._last.at_s)
        return max(0.0, self._last.backlog + self._let_in - done)

    def wait_s(self, backlog: float) -> float:
        """How long that many take; 0 while no rate is known, infinite when the stage stands still."""
        if self._rate is None or backlog <= 0:
            return 0.0
        return backlog / self._rate if self._rate > 0 else math.inf

    def _learn(self, before: Reading, after: Reading, useful: float) -> None:
        """Only while work waits does what gets done show what the stage can do."""
        span_s = after.at_s - before.at_s
        seen = useful * max(0, after.finished - before.finished) / span_s
        if not (before.waiting and after.waiting):
            self._standing_s = 0.0
            if self._rate is not None and seen > self._rate:
                self._rate = None  # it can do more than was thought, and nothing says how much
        elif self._rate is None:
            self._standing_s = 0.0 if seen else self._standing_s + span_s
            if seen or self._standing_s >= PATIENCE_S:
                self._rate, self._measured_s = seen, span_s
        else:
            self._measured_s += span_s
            weight = max(1 - math.exp(-span_s / MEMORY_S), span_s / self._measured_s)  # at first a plain mean
            self._rate += weight * (seen - self._rate)
