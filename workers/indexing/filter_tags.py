"""Metadata as tags, and filters as the tags of which a row must have some: the same for every index.

An index keeps a list of strings per row and finds the rows that have any of several strings; no more is asked of it. A
tag is a key, a mark that no key holds, and a text:

    lang=en        the whole value
    path^4:/be     what the value goes on with at one of its characters 0, 4, 8, …: 1 to 4 characters of it
    year#150420    a beginning of the code of the number that the value is
    date@20240     a beginning of the code of the instant that the value is

`docs/bee` is a beginning of the value if it has the tags `^0:docs` and `^4:/bee`. Documents share most of such tags, which
they would not if each held the value from its first character on; an index is slow to keep many different ones.

Where a value ends in white space its tag is closed by a `|`, since some indexes trim what they store.

A code is a row of decimal digits, in the order of what it stands for. The zeros at its end are left out, and `date@2024.`
says that nothing but zeros follows: numbers and dates as people write them end early and have few tags. A range is the
union of some beginnings (the trie of Schindler and Diepenbroek, Computers & Geosciences 34, 2008): a few dozen for such
bounds, some 400 at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from contracts.comparisons import instant, number
from contracts.filters import MAX_PREFIX, Bound, Condition, Filters

_BLOCK = 4
_DIGITS = 21
_LAST_CODE = 10**_DIGITS - 1
_ZERO: int = 10 ** (_DIGITS - 1)
"""The code of the number zero; as many lie below as above."""
_EXPONENT_BIAS = 500
"""Makes three digits of the exponent of every double."""
_MANTISSA_DIGITS = 17
"""As many as the shortest decimals have that stand for a double."""


def tags(metadata: Mapping[str, str]) -> list[str]:
    """Metadata as an index filters by it."""
    return [tag for key, value in sorted(metadata.items()) for tag in _tags(key, value)]


def tag_groups(filters: Filters) -> list[list[str]]:
    """Metadata conditions hold for a row that has a tag of every group; no row has one of an empty group."""
    return [group for key, condition in filters.metadata.items() for group in _groups(key, condition)]


def _tags(key: str, value: str) -> Iterator[str]:
    yield f"{key}={_closed(value)}"
    for end in range(1, min(len(value), MAX_PREFIX) + 1):
        yield _piece(key, value, end)
    comparable = _comparable(value)
    if comparable is not None:
        code = _digits(_code(comparable), _DIGITS).rstrip("0")
        mark = _mark(comparable)
        yield from (f"{key}{mark}{code[:length]}" for length in range(1, len(code) + 1))
        yield f"{key}{mark}{code}."


def _groups(key: str, condition: Condition) -> Iterator[list[str]]:
    if condition.any_of is not None:
        yield [f"{key}={_closed(value)}" for value in dict.fromkeys(condition.any_of)]
    if condition.prefix is not None:
        length = len(condition.prefix)
        yield from ([_piece(key, condition.prefix, end)] for end in (*range(_BLOCK, length, _BLOCK), length))
    if condition.bounds:
        mark = _mark(condition.bounds[0])
        yield [f"{key}{mark}{ending}" for ending in _endings(*_codes(condition))]


def _piece(key: str, text: str, end: int) -> str:
    """The tag of what `text` goes on with up to `end`, from the last place before it at which pieces begin."""
    start = (end - 1) // _BLOCK * _BLOCK
    return f"{key}^{start}:{_closed(text[start:end])}"


def _closed(text: str) -> str:
    """Different for every text, and never with white space at its end."""
    last = text[-1:]
    return f"{text}|" if last == "|" or last.isspace() else text


def _comparable(value: str) -> Bound | None:
    found = number(value)
    return instant(value) if found is None else found


def _mark(value: Bound) -> str:
    return "@" if isinstance(value, datetime) else "#"


def _codes(condition: Condition) -> tuple[int, int]:
    """The lowest and the highest code within the bounds; no value lies between a code and the next."""
    low, high = 0, _LAST_CODE
    if condition.gte is not None:
        low = _code(condition.gte)
    if condition.gt is not None:
        low = _code(condition.gt) + 1
    if condition.lte is not None:
        high = _code(condition.lte)
    if condition.lt is not None:
        high = _code(condition.lt) - 1
    return low, high


def _code(value: Bound) -> int:
    return _code_of_instant(value) if isinstance(value, datetime) else _code_of_number(value)


def _code_of_number(value: float) -> int:
    """Counted up from zero or down from it: the exponent of ten, then the digits of the shortest decimal.

    The shortest decimals of two doubles are in the order of the doubles, since each rounds to its own.
    """
    if not value:
        return _ZERO
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    mantissa = "".join(map(str, digits)).ljust(_MANTISSA_DIGITS, "0")
    magnitude = int(f"{len(digits) + exponent + _EXPONENT_BIAS}{mantissa}")
    return _ZERO - magnitude if sign else _ZERO + magnitude


def _code_of_instant(value: datetime) -> int:
    """Year, month, day, hour, minute, second and microsecond in UTC; months and days from zero, so that they end early."""
    return int(f"{value.year}{value.month - 1:02}{value.day - 1:02}{value:%H%M%S%f}0")


def _digits(code: int, length: int) -> str:
    return f"{code:0{length}d}"


def _endings(low: int, high: int) -> Iterator[str]:
    """What the tags of the codes from `low` to `high` end in, and no others'."""
    for beginning in _beginnings(low, high):
        yield beginning
        if beginning.endswith("0"):
            yield f"{beginning.rstrip('0')}."


def _beginnings(low: int, high: int) -> Iterator[str]:
    """The fewest beginnings that the codes from `low` to `high` have, and no others; the longest first."""
    for length in range(_DIGITS, 0, -1):
        while low <= high and (low % 10 or length == 1):
            yield _digits(low, length)
            low += 1
        while low <= high and high % 10 != 9:
            yield _digits(high, length)
            high -= 1
        if low > high:
            return
        low, high = low // 10, high // 10
