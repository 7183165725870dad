"""Time that a test moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Gives `now`, in seconds, wherever `time.monotonic` or the like is injected."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
