"""How many questions a gateway has on their way to a stage at once, where none may wait long: found by trying."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from gateway.capacity import Reading

FIRST: Final = 8
LEAST: Final = 1.0
DOUBLING: Final = 1.0
CAREFUL: Final = 0.005
"""By so much of its size it grows from one reading to the next, at first and after it was too large, ..."""
HASTE: Final = 1.1
"""... and by so many times more at each reading that finds it too small still."""
STEP: Final = 0.05
"""Of what may wait, by so much it grows while others have some waiting, too, but not too much: of several gateways the one with little comes to as much
as the others, who give way in proportion to what they have."""
READINGS: Final = 10
"""What a stage had in hand at one of the last so many readings it can have in hand."""


class Window:
    """It grows while it is full and nothing waits at the stage, and shrinks by what waits longer than it may, but not below what the
    workers have in hand: a question that was looked at on its way to a free worker does not wait.
    """

    def __init__(self, *, max_wait_s: float) -> None:
        self.max_wait_s = max_wait_s
        self._size = float(FIRST)
        self._inside: Counter[str] = Counter()
        self._was_full = False
        self._growth = DOUBLING
        self._in_flight: deque[int] = deque(maxlen=READINGS)

    @property
    def size(self) -> int:
        return int(self._size)

    @property
    def has_room(self) -> bool:
        is_full = self._inside.total() >= self.size
        self._was_full |= is_full
        return not is_full

    def enter(self, tenant: str) -> None:
        self._inside[tenant] += 1

    def leave(self, tenant: str) -> None:
        self._inside[tenant] -= 1
        if self._inside[tenant] <= 0:
            del self._inside[tenant]

    def owes(self, tenant: str, weight_of: Callable[[str], float]) -> bool:
        """Whether others have so much of it that this tenant has less than its share."""
        others = sum(weight_of(each) for each in self._inside if each != tenant)
        weight = weight_of(tenant)
        return others > 0 and self._inside[tenant] < self.size * weight / (weight + others)

    def observe(self, reading: Reading, rate: float | None) -> None:
        """Take a reading of the stage, which is that of all gateways: each gives way by its part of what is too much."""
        self._in_flight.append(reading.in_flight)
        may_wait, inside = self.max_wait_s * (rate or 0.0), self._inside.total()
        too_many = reading.waiting - may_wait
        if too_many > 0:
            self._growth = CAREFUL
            if inside:  # else it is no doing of ours
                part = min(1.0, inside / reading.backlog)
                self._size = max(LEAST, part * max(self._in_flight), min(self._size, inside) - part * too_many)
        elif self._was_full and reading.waiting:
            self._size += STEP * may_wait
        elif self._was_full:
            self._size *= 1 + self._growth
            self._growth = min(DOUBLING, HASTE * self._growth)
        self._was_full = False
