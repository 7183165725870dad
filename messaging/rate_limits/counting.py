"""Counts requests in sliding windows: pure arithmetic, the same at every gateway.

A window is cut into sixty slots. What may be spent up to one slot after it was counted counts for two slots more, so that in no
time as long as the window more is spent than the limit says; what is counted comes back a thirtieth of the window late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from contracts.rate_limits import RateUsage, RateWindow

SLOTS: Final = 60
_COUNTED: Final = SLOTS + 2

Counts = dict[int, dict[int, int]]


def slot_s(window: RateWindow) -> float:
    return window.span_s / SLOTS


def room(usage: RateUsage, window: RateWindow, now: float) -> int:
    """How many more fit into a window at a time (seconds since 1970)."""
    return window.requests - sum(_recent(usage, window, now).values())


def changed(usage: RateUsage, windows: Sequence[RateWindow], units: int, *, at: float, now: float) -> RateUsage:
    """With so many more counted as of `at`, or fewer where `units` is negative, and without what no window needs any more."""
    counts: Counts = {}
    for window in windows:
        slots = _recent(usage, window, now)
        slot = math.floor(at / slot_s(window))
        slots[slot] = max(0, slots.get(slot, 0) + units)
        counts[window.span_s] = {number: count for number, count in slots.items() if count}
    return RateUsage(counts=counts)


def reopens_at(usage: RateUsage, window: RateWindow, now: float) -> float:
    """When a window has more room than now, and at least some (seconds since 1970)."""
    slots = _recent(usage, window, now)
    over = max(0, sum(slots.values()) - window.requests)
    for number in sorted(slots):
        over -= slots[number]
        if over < 0:
            return (number + _COUNTED) * slot_s(window)
    return now


def _recent(usage: RateUsage, window: RateWindow, now: float) -> dict[int, int]:
    """Slots that count now. Those of the near future, by a clock that is ahead, count as well; none of the far one do."""
    current = math.floor(now / slot_s(window))
    slots = usage.counts.get(window.span_s, {})
    return {number: count for number, count in slots.items() if current - _COUNTED < number <= current + SLOTS}
