"""What waits to be told through one channel, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from observability.notifications.errors import DeliveryError
from observability.notifications.pipeline import Due

MAX_WAITING = 1000
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
"""How long a receiver can have itself left alone at once."""


@dataclass(slots=True)
class Waiting:
    """A group that this channel is to be told of: `attempts` were made, the next is not before `ready_at`."""

    due: Due
    ready_at: datetime
    attempts: int = 0


class Outbox:
    """One group is in it once at most, so its length is bounded by the groups; beyond `capacity` it refuses.

    Pauses double from one second to a minute, with jitter, so that many do not come back at the same moment. A receiver that
    asks to be left alone (Retry-After) is, for all groups.
    """

    def __init__(self, *, capacity: int = MAX_WAITING, jitter: Callable[[], float]) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._capacity = capacity
        self._jitter = jitter
        self._resting_until: datetime | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, due: Due, now: datetime) -> bool:
        """Take it, in place of what waits for the same group. False: there is no room."""
        if due.group_key not in self._waiting and len(self._waiting) >= self._capacity:
            return False
        self._waiting[due.group_key] = Waiting(due=due, ready_at=now)
        return True

    def next_at(self) -> datetime | None:
        """When the next attempt may be made; None: nothing waits."""
        first = min((waiting.ready_at for waiting in self._waiting.values()), default=None)
        if first is None or self._resting_until is None:
            return first
        return max(first, self._resting_until)

    def take(self, now: datetime) -> Waiting | None:
        """Take out the one whose attempt is due for the longest time, or None."""
        ready_at = self.next_at()
        if ready_at is None or ready_at > now:
            return None
        first = min(self._waiting.values(), key=lambda waiting: waiting.ready_at)
        return self._waiting.pop(first.due.group_key)

    def failed(self, waiting: Waiting, error: DeliveryError, now: datetime) -> bool:
        """An attempt has failed. True: it will be made again. False: not before the group's next turn, since it is refused or
        there is no time left.
        """
        waiting.attempts += 1
        if error.retry_after_s is not None:
            self._rest(timedelta(seconds=min(error.retry_after_s, LONGEST_REST.total_seconds())), now)
        if error.final:
            return False
        waiting.ready_at = max(now + self._pause(waiting.attempts), self._resting_until or now)
        if waiting.ready_at >= waiting.due.deadline:
            return False
        self._waiting.setdefault(waiting.due.group_key, waiting)  # its next turn may have come meanwhile
        return True

    def _rest(self, duration: timedelta, now: datetime) -> None:
        until = now + duration
        self._resting_until = until if self._resting_until is None else max(until, self._resting_until)

    def _pause(self, attempts: int) -> timedelta:
        """From half of the doubling pause to the whole."""
        doubled: timedelta = FIRST_PAUSE * (1 << min(attempts - 1, 16))
        return min(doubled, LONGEST_PAUSE) * (0.5 + self._jitter() / 2)
