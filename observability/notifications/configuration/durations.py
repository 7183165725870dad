"""Durations as Prometheus and Alertmanager write them: 30s, 5m, 1h30m, 4h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {
    "y": timedelta(days=365),
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))
LONGEST = timedelta(days=365)


def parse_duration(text: str) -> timedelta:
    """Raises `ValueError` when it is no duration, or longer than a year."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m, 1h30m or 7d")
    given = {unit: int(number) for unit, number in found.groupdict().items() if number is not None}
    if sum(number * _UNITS[unit].total_seconds() for unit, number in given.items()) > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than a year")
    return sum((number * _UNITS[unit] for unit, number in given.items()), timedelta())


def format_duration(duration: timedelta) -> str:
    """The shortest way to write it; 90 seconds as `1m30s`."""
    left, pieces = duration, []
    for unit, length in _UNITS.items():
        if unit in {"y", "w"}:
            continue
        count, left = divmod(left, length)
        if count:
            pieces.append(f"{count}{unit}")
    return "".join(pieces) or "0s"


def _read(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration such as 30s, 5m, 1h30m or 7d")  # noqa: TRY004 (pydantic's protocol)
    return parse_duration(value)


Duration = Annotated[timedelta, BeforeValidator(_read), PlainSerializer(format_duration)]
