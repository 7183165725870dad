"""Durations as Prometheus writes them: `1h30m`, `250ms`, `0`."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS))


def milliseconds(text: str) -> int:
    """Raises `ValueError` for what is no duration; units come from the largest to the smallest, each once."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if not text or match is None:
        raise ValueError(f"{text!r} is no duration: write it like 30s, 5m or 1h30m")
    return sum(int(count) * _UNITS[unit] for unit, count in match.groupdict().items() if count)
