"""An observer that knows a leak after a minute and a half instead of an hour: nobody waits that long for a campaign."""

from __future__ import annotations

from cli.main import main
from observability.diagnosis.causes import memory_leak

WINDOW_S = 90.0
WARM_UP_S = 60.0
LEAST_SPAN_S = 60.0
LEAST_GROWTH_BYTES = 64 * 1024**2
"""Twice what it is: a process that is a minute old grows by as much as one that leaks for an hour."""
LEAST_SAMPLES = 6
HALF_SAMPLES = 3


def hasten() -> None:
    for name in ("WINDOW_S", "WARM_UP_S", "LEAST_SPAN_S", "LEAST_GROWTH_BYTES", "LEAST_SAMPLES", "HALF_SAMPLES"):
        setattr(memory_leak, name, globals()[name])


if __name__ == "__main__":
    hasten()
    main()
