"""How many requests in which time, written as `20/10s,300/m,5000/h`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from contracts.message import Message

MOST_WINDOWS: Final = 3
LONGEST_S: Final = 86_400
MOST_REQUESTS: Final = 10**9
_WINDOW: Final = re.compile(r"([0-9]{1,10})/([0-9]{0,5})([smh])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class RateWindow:
    """No more than `requests` in any `span_s` seconds."""

    requests: int
    span_s: int


def _read(text: str) -> str:
    windows_of(text)
    return text


RateLimit = Annotated[str, Field(max_length=64), AfterValidator(_read)]
"""Up to three windows, each with a time of its own; an empty text is no limit."""


@lru_cache(maxsize=1024)
def windows_of(text: str) -> tuple[RateWindow, ...]:
    """The windows of a rate limit, the shortest first. Raises `ValueError` with an example."""
    windows = sorted((_window(each.strip()) for each in text.split(",") if each.strip()), key=lambda each: each.span_s)
    spans = {each.span_s for each in windows}
    if len(windows) > MOST_WINDOWS or len(spans) < len(windows):
        raise ValueError(f"{text!r} has more than {MOST_WINDOWS} times, or one of them twice: {_EXAMPLE}")
    return tuple(windows)


_EXAMPLE: Final = "for example 20/10s,300/m,5000/h"


def _window(text: str) -> RateWindow:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no number of requests in a time: {_EXAMPLE}")
    requests, span_s = int(found[1]), int(found[2] or 1) * _UNITS[found[3]]
    if not 1 <= requests <= MOST_REQUESTS or not 1 <= span_s <= LONGEST_S:
        raise ValueError(f"{text!r}: 1 to {MOST_REQUESTS} requests in 1 s to {LONGEST_S // 3600} h, {_EXAMPLE}")
    return RateWindow(requests, span_s)


class RateUsage(Message):
    """What was let in of late under one limit, in the bucket `limits`: by the seconds of a window, and in it by the number of
    the sixtieth of that time since 1970.
    """

    counts: dict[int, dict[int, int]] = Field(default_factory=dict)
