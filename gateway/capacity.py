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
        self._let_in = self._coming = 0
        self._unused: _Unused | None = None
        self._forget()

    @property
    def rate(self) -> float | None:
        """How many a second the stage can do; None while nothing is known."""
        return self._mean if self._went_at_s is not None or self._measured_s >= PATIENCE_S else None

    def observe(self, reading: Reading, *, useful: float = 1.0) -> None:
        """Take a reading; what was let in before is in it.

        `useful` is the share of what got done since the last one that was done in time: a stage that only throws away what
        came too late is fast, and does nothing.
        """
        if self._last is not None and reading.at_s > self._last.at_s:
            if reading.handed_out >= self._last.handed_out:
                self._learn(self._last, reading, useful)
            else:  # the consumer was made anew
                self._forget()
        self._last = reading
        self._let_in = self._coming = 0

    def let_in(self) -> None:
        """One more is on its way to this stage."""
        self._let_in += 1

    def coming(self) -> None:
        """One more will come to this stage once another one is done with it."""
        self._coming += 1

    def waiting(self, now_s: float) -> float:
        """About how many wait that nobody works on yet."""
        if self._last is None:
            return 0.0
        done = (self.rate or 0.0) * max(0.0, now_s - self._last.at_s)
        return max(0.0, self._last.waiting + self._let_in + self._coming - done)

    def backlog(self, now_s: float) -> float:
        """About how many wait or are worked on."""
        if self._last is None:
            return float(self._let_in)
        done = (self.rate or 0.0) * max(0.0, now_s - self._last.at_s)
        return max(0.0, self._last.backlog + self._let_in - done)

    def wait_s(self, backlog: float) -> float:
        """How long that many take; 0 while no rate is known, infinite when the stage stands still."""
        rate = self.rate
        if rate is None or backlog <= 0:
            return 0.0
        return backlog / rate if rate > 0 else math.inf

    def is_going(self, now_s: float) -> bool:
        """Whether it got something done of what waited not long ago, for a stage of its pace: its rate can be relied on."""
        return self._went_at_s is not None and now_s - self._went_at_s <= self._pace_s

    def _forget(self) -> None:
        self._mean = self._measured_s = self._pace_s = 0.0
        self._went_at_s: float | None = None

    def _learn(self, before: Reading, after: Reading, useful: float) -> None:
        """Only while work waits for it does what gets done show what the stage can do."""
        done = after.finished - before.finished
        if _is_busy(before, after):
            self._unused = None
            self._measure(after, useful * max(0, done), after.at_s - before.at_s)
            return
        if self._went_at_s is None:
            self._forget()
        if self._unused is None or not before.backlog:
            self._unused = _Unused(before)
        if self.rate is not None and useful * self._unused.rate(after) > self.rate:
            self._forget()  # it can do more than was thought, and nothing says how much

    def _measure(self, after: Reading, done: float, span_s: float) -> None:
        self._measured_s += span_s
        weight = max(1 - math.exp(-span_s / MEMORY_S), span_s / self._measured_s)  # at first a plain mean
        self._mean += weight * (done / span_s - self._mean)
        if done:
            self._went_at_s = after.at_s
            self._pace_s = max(PATIENCE_S, 3 / self._mean)


@dataclass(frozen=True, slots=True)
class _Unused:
    """A time in which a stage had something to do, but nothing waited."""

    since: Reading

    def rate(self, now: Reading) -> float:
        """What it did at least a second. What it had in hand at first may have been near its end, and does not count."""
        done = now.finished - self.since.finished - self.since.in_flight
        return done / (now.at_s - self.since.at_s)


def _is_busy(before: Reading, after: Reading) -> bool:
    """Whether all workers of the stage had something to do: work waited, and they have as much in hand as before."""
    return before.waiting > 0 and (after.waiting > 0 or after.in_flight >= max(1, before.in_flight))
