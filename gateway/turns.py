"""Who is let in next where not all can be: tenants take turns by their weights, however many questions each of them has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

PAUSE_S: Final = 0.02
"""How often it is looked whether there is room, while somebody waits; what makes room is done elsewhere and told to nobody."""
PACE_WINDOW_S: Final = 5.0
LEAST_WINDOW_S: Final = 1.0


class NotInTimeError(Exception):
    """The turn of a question did not come in its time."""


class TurnsEndedError(Exception):
    """Nobody is called any more: this gateway is about to stop."""


@dataclass(slots=True)
class _Line:
    """Those of one tenant who wait, the first to come first, and when its turn is, in virtual time."""

    turn: float
    waiting: dict[int, asyncio.Future[None]] = field(default_factory=dict)


class Turns:
    """Weighted fair queueing at one gateway (strides): a tenant of weight 2 is called twice as often as one of weight 1.

    `has_room` says whether what comes after can take one more now, and `enter` is told of each that is let in; `leave` of
    one that was called and had gone by then. Nothing waits while there is room and nobody else waits.
    """

    def __init__(
        self,
        *,
        has_room: Callable[[], bool],
        enter: Callable[[str], None],
        leave: Callable[[str], None],
        weight_of: Callable[[str], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._has_room = has_room
        self._enter = enter
        self._give_back = leave
        self._weight_of = weight_of
        self._pace = _Pace(monotonic)
        self._lines: dict[str, _Line] = {}
        self._numbers = count()
        self._now = 0.0
        self._somebody = asyncio.Event()
        self._has_ended = False

    @property
    def waiting(self) -> int:
        return sum(len(line.waiting) for line in self._lines.values())

    @property
    def pace(self) -> float | None:
        """How many were called a second lately; None: nobody has waited for long enough to tell."""
        return self._pace.rate

    def ahead_of(self, tenant: str) -> float:
        """About how many are called before the next one of a tenant is."""
        line = self._lines.get(tenant)
        if line is None:
            return 0.0
        weights = sum(map(self._weight_of, self._lines))
        return min(self.waiting, len(line.waiting) * weights / self._weight_of(tenant))

    async def turn(self, tenant: str, *, within_s: float) -> None:
        """Wait for the turn of a tenant's next question. Raises `NotInTimeError`, and `TurnsEndedError` for who would wait."""
        if not self._lines and self._has_room():
            self._enter(tenant)
            return
        if self._has_ended:
            raise TurnsEndedError
        number, called = next(self._numbers), asyncio.get_running_loop().create_future()
        self._join(tenant, number, called)
        is_in = False
        try:
            async with asyncio.timeout(within_s):
                await called
            is_in = True
        except TimeoutError:
            raise NotInTimeError from None
        finally:
            if not is_in and called.done() and not called.cancelled() and called.exception() is None:
                self._give_back(tenant)
            called.cancel()
            self._leave(tenant, number)

    def end(self) -> None:
        """Call nobody any more, and tell all who wait."""
        self._has_ended = True
        for called in [each for line in self._lines.values() for each in line.waiting.values()]:
            called.set_exception(TurnsEndedError())
        self._lines.clear()

    async def run(self) -> None:
        """Call who is next for as long as there is room, until cancelled."""
        while True:
            await self._somebody.wait()
            while self._lines:
                self.call()
                await asyncio.sleep(PAUSE_S)
            self._somebody.clear()
            self._pace.stop()

    def call(self) -> None:
        """Call who is next, as far as there is room."""
        while self._lines and self._has_room():
            self._call_next()

    def _join(self, tenant: str, number: int, called: asyncio.Future[None]) -> None:
        line = self._lines.get(tenant)
        if line is None:  # who was away has saved nothing up
            line = self._lines[tenant] = _Line(turn=self._now + 1 / self._weight_of(tenant))
        line.waiting[number] = called
        if not self._somebody.is_set():
            self._pace.start()
            self._somebody.set()

    def _leave(self, tenant: str, number: int) -> None:
        line = self._lines.get(tenant)
        if line is not None and line.waiting.pop(number, None) is not None and not line.waiting:
            del self._lines[tenant]

    def _call_next(self) -> None:
        tenant, line = min(self._lines.items(), key=lambda each: each[1].turn)
        number = next(iter(line.waiting))
        called = line.waiting[number]
        self._now = line.turn
        line.turn += 1 / self._weight_of(tenant)
        self._leave(tenant, number)
        if not called.done():
            self._enter(tenant)
            self._pace.note()
            called.set_result(None)


class _Pace:
    """How many a second, over some seconds; what is known goes on until there is better."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: float | None = None
        self._count = 0
        self._before: float | None = None

    @property
    def rate(self) -> float | None:
        if self._since is None:
            return None
        lasts = self._monotonic() - self._since
        return self._count / lasts if lasts >= LEAST_WINDOW_S else self._before

    def start(self) -> None:
        self._since, self._count, self._before = self._monotonic(), 0, None

    def stop(self) -> None:
        self._since = self._before = None

    def note(self) -> None:
        now = self._monotonic()
        if self._since is not None and now - self._since >= PACE_WINDOW_S:
            self._since, self._count, self._before = now, 0, self._count / (now - self._since)
        self._count += 1
