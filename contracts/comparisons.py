"""What can be compared in a metadata value: the number or the instant that its text is."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INSTANT_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
"""The extended forms of ISO 8601 dates and date-times; neither numbers nor week dates have this shape."""

_INSTANT = re.compile(INSTANT_PATTERN)


def number(text: str) -> float | None:
    """The number that the whole text is, as an IEEE 754 double; None if it is none, or too large for one."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def instant(text: str) -> datetime | None:
    """The instant that the whole text is, in UTC and to the microsecond; None if it is none.

    A date alone is its midnight, and what has no offset is in UTC. The years 1 to 9999 of UTC are known.
    """
    if not _INSTANT.fullmatch(text):
        return None
    try:
        return in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):  # the 30th of February, hour 25, the year 0
        return None


def in_utc(value: datetime) -> datetime:
    """Raises `OverflowError` where that leads out of the calendar."""
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
