"""Pages of lists: every list that can be long takes `limit` and `cursor`, and is `{"items": […], "next": cursor or null}`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query

from gateway import problems

USUAL: Final = 50
MOST: Final = 200
LONGEST_CURSOR: Final = 512
MOST_POSITION: Final = 2**63 - 1
_LATEST: Final = 1e12
"""Seconds since 1970 that no list reaches; NaN is none, either."""

Limit = Annotated[int, Query(ge=1, le=MOST, description="Most of one page.")]
Cursor = Annotated[
    str | None, Query(max_length=LONGEST_CURSOR, description="`next` of the page before, exactly as it came.")
]

T = TypeVar("T")
Place = tuple[float, str]
"""Where something stands in a list: by its time, in seconds since 1970, and its id."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some of a list, and the cursor of what follows."""

    items: list[T]
    next: str | None


def newest_first(
    items: Iterable[T], *, at: Callable[[T], tuple[datetime, str]], limit: int, cursor: str | None
) -> Slice[T]:
    """A page of a list that is known whole. What comes meanwhile changes no page that follows. Raises a 422 problem for a
    cursor that is none.
    """
    after = None if cursor is None else place_of(cursor)
    placed = sorted(((_place(*at(item)), item) for item in items), key=lambda pair: pair[0], reverse=True)
    rest = [pair for pair in placed if after is None or pair[0] < after]
    following = cursor_at(rest[limit - 1][0]) if len(rest) > limit else None
    return Slice([item for _, item in rest[:limit]], following)


def cursor_at(place: tuple[float | str, str]) -> str:
    """The cursor of what follows after a place."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """The place of a cursor. Raises a 422 problem for what is none."""
    first, id = _parts(cursor)
    if not isinstance(first, int | float) or not abs(first) <= _LATEST:
        raise _foreign()
    return float(first), id


def name_of(cursor: str) -> tuple[str, str]:
    """As `place_of`, for a list in the order of names."""
    first, id = _parts(cursor)
    if not isinstance(first, str):
        raise _foreign()
    return first, id


def position_of(cursor: str | None) -> int:
    """The position in a stream that a cursor stands for; 0 without one. Raises a 422 problem for what is none."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 20 and int(cursor) <= MOST_POSITION):
        raise _foreign()
    return int(cursor)


def cursor_of(position: int | None) -> str | None:
    """The cursor of what follows after a position; None: nothing does."""
    return None if position is None else str(position)


def _place(at: datetime, id: str) -> Place:
    return at.timestamp(), id


def _parts(cursor: str) -> tuple[object, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        first, id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        f"{first}{id}".encode()  # raises for a lone surrogate, which a database would refuse
    except (ValueError, TypeError, RecursionError):
        raise _foreign() from None
    return first, str(id)


def _foreign() -> problems.Problem:
    return problems.invalid("This cursor is not one of ours; pass `next` of a list exactly as it came.")
