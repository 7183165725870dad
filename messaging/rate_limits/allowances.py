"""Requests that this process may let in, taken some at a time from what all gateways share.

What is let in was counted before, by compare-and-set, so however many gateways there are, together they never let in more than
the limit says. What was taken and not used is given back with the next taking.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import Final

import structlog
from cachetools import LRUCache

from contracts import topology
from contracts.errors import TransientError, WaggleError
from contracts.rate_limits import RateUsage, RateWindow
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry, StaleRevisionError
from messaging.rate_limits.counting import changed, reopens_at, room, slot_s

MOST_SUBJECTS: Final = 10_000
"""Whose units are at hand; of others they are read anew."""
MAX_TRIES: Final = 20
APART_S: Final = 0.002
"""Those who counted at the same moment try again at different ones, up to so much later each time."""
SHARE: Final = 20
"""At most a twentieth of a limit is taken at once, so that little lies at a gateway that does not need it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What came of one request. `window` is the one with the least room, `remaining` how many it still has, and `wait_s` how long
    until it has more.
    """

    let_in: bool
    window: RateWindow
    remaining: int
    wait_s: float


class CrowdedError(TransientError):
    """So many gateways counted the same at the same moment that this one did not get its turn; nothing was let in."""


@dataclass(slots=True)
class _Held:
    """What is at hand for one subject. Times are the broker's, in seconds since 1970."""

    windows: tuple[RateWindow, ...]
    units: int = 0
    taken: int = 0
    taken_at: float = 0.0
    closed_until: float = 0.0
    usage: RateUsage = field(default_factory=RateUsage)
    revision: int | None = None
    """Of `usage`; None: to be read."""
    waiting: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def lasts_s(self) -> float:
        return min(map(slot_s, self.windows))

    @property
    def most(self) -> int:
        return max(1, min(window.requests for window in self.windows) // SHARE)

    def spend(self, now: float) -> bool:
        """Use one unit, if there is one that lasts."""
        if self.units < 1 or not 0 <= now - self.taken_at < self.lasts_s:
            return False
        self.units -= 1
        return True

    def wanted(self, now: float) -> int:
        """How many to take next: for all who wait, and twice as many as last time if those did not last."""
        used_up = not self.units and now - self.taken_at < self.lasts_s
        expected = 2 * self.taken if used_up else self.taken - self.units
        return max(1, self.waiting, min(expected, self.most))

    def left(self, now: float, *, let_in: bool) -> Left:
        usage, units = self.usage, self.units
        tightest = min(self.windows, key=lambda window: (room(usage, window, now) + units) / window.requests)
        remaining = max(0, room(usage, tightest, now) + units) if let_in else 0
        reopens = self.closed_until if not let_in else reopens_at(usage, tightest, now)
        return Left(let_in=let_in, window=tightest, remaining=remaining, wait_s=max(0.0, reopens - now))


class Allowances:
    """Everything raises `BrokerUnavailableError` when the broker has to be asked and is away."""

    def __init__(self, broker: Broker, *, most_subjects: int = MOST_SUBJECTS) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.LIMITS)
        self._held: LRUCache[str, _Held] = LRUCache(most_subjects)

    async def take(self, subject: str, windows: tuple[RateWindow, ...]) -> Left:
        """Let one request of a subject in, if all of its windows allow it: at least one. `subject` is a key of the bucket.

        Raises `CrowdedError`.
        """
        held = self._of(subject, windows)
        let_in = held.spend(self._now())
        if not let_in:
            held.waiting += 1
            try:
                async with held.lock:
                    let_in = held.spend(self._now()) or await self._take_more(subject, held)
            finally:
                held.waiting -= 1
        return held.left(self._now(), let_in=let_in)

    def _of(self, subject: str, windows: tuple[RateWindow, ...]) -> _Held:
        held = self._held.get(subject)
        if held is None or held.windows != windows:
            held = self._held[subject] = _Held(windows)
        return held

    async def _take_more(self, subject: str, held: _Held) -> bool:
        """Take units for who waits, and use one."""
        if self._now() < held.closed_until:
            return False
        for tried in range(MAX_TRIES):
            is_known = held.revision is not None
            if not is_known:
                await self._read(subject, held)
            try:
                if await self._try_to_take(subject, held):
                    return True
            except StaleRevisionError:
                held.revision = None
                await asyncio.sleep(random.uniform(0, APART_S * (tried + 1)))  # noqa: S311  (no secret)
                continue
            if not is_known:
                return False
            held.revision = None  # others may have given some back
        raise CrowdedError("too many requests are counted at this moment: ask again")

    async def _try_to_take(self, subject: str, held: _Held) -> bool:
        now = self._now()
        usage = changed(held.usage, held.windows, -held.units, at=held.taken_at, now=now)
        free = min(room(usage, window, now) for window in held.windows)
        if free < 1:
            held.closed_until = max(reopens_at(usage, each, now) for each in held.windows if room(usage, each, now) < 1)
            return False
        units = min(free, held.wanted(now))
        usage = changed(usage, held.windows, units, at=now, now=now)
        ttl_s = math.ceil(2 * max(window.span_s for window in held.windows))
        known, held.revision = held.revision or 0, None  # if the broker does not answer it may have been written
        held.revision = await self._bucket.write(subject, usage.to_bytes(), revision=known, ttl_s=ttl_s)
        held.usage, held.taken, held.units, held.taken_at = usage, units, units - 1, now
        return True

    async def _read(self, subject: str, held: _Held) -> None:
        entry = await self._bucket.get(subject)
        held.usage = RateUsage() if entry is None else _usage(entry)
        held.revision = 0 if entry is None else entry.revision

    def _now(self) -> float:
        return self._broker.clock.now().timestamp()


def _usage(entry: Entry) -> RateUsage:
    """What cannot be read counts as nothing: it is overwritten with what can."""
    if entry.value is None:
        return RateUsage()
    try:
        return RateUsage.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not a usage of a limit", key=entry.key, reason=str(error))
        return RateUsage()
