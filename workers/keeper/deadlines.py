"""Which query must have ended when: timers that can be armed and disarmed by the hundred thousand."""

from __future__ import annotations

import heapq
from datetime import datetime

Key = tuple[str, str]
"""Tenant and query id."""

CAPACITY = 200_000
"""Most timers held (about 60 MB); what is beyond stays in the stream it comes from until there is room."""

_SLACK = 64


class Deadlines:
    """A heap of timers, one per key. It reads no clock: the time is given to it."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._at: dict[Key, datetime] = {}
        self._heap: list[tuple[datetime, Key]] = []

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, key: Key) -> bool:
        return key in self._at

    def arm(self, key: Key, at: datetime) -> bool:
        """Set a timer; of several for one key the earliest counts. False when there is no room for another key."""
        known = self._at.get(key)
        if known is None and len(self._at) >= self._capacity:
            return False
        if known is None or at < known:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))
            self._compact()
        return True

    def disarm(self, key: Key) -> None:
        """Forget a timer, if there is one."""
        self._at.pop(key, None)
        self._compact()

    def next_at(self) -> datetime | None:
        """When the earliest timer is due."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime, *, limit: int) -> list[tuple[Key, datetime]]:
        """Take out up to `limit` timers that are due, earliest first, with their times."""
        found: list[tuple[Key, datetime]] = []
        while len(found) < limit and (at := self.next_at()) is not None and at <= now:
            _, key = heapq.heappop(self._heap)
            del self._at[key]
            found.append((key, at))
        return found

    def _drop_stale(self) -> None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _compact(self) -> None:
        """Keep the heap within twice the live timers: disarmed ones stay in it until they surface."""
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(at, key) for key, at in self._at.items()]
            heapq.heapify(self._heap)
