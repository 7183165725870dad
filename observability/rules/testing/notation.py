"""The notation of series in unit tests: `0+10x5 _x2 stale NaN -3`."""

from __future__ import annotations

import re
from typing import Final

import promql_parser as syntax

from observability.promql import STALE, Labels
from observability.promql.labels import METRIC_NAME

MOST_VALUES: Final = 100_000
"""Of one series."""

_NUMBER: Final = r"(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF]|[nN][aA][nN])"
"""Not in hexadecimal: `0x9` is ten zeros."""
_ITEM: Final = re.compile(
    rf"(?:(?P<gap>_)|(?P<stale>stale)|(?P<start>[+-]?{_NUMBER})(?P<step>[+-]{_NUMBER})?)(?:x(?P<times>[0-9]+))?"
)


def values(text: str) -> list[float | None]:
    """One value for each interval, None for a gap.

    `a+bxn` is a and n more values, each b larger than the one before; `axn` is a, n + 1 times; `_xn` is n gaps.
    Raises `ValueError` for anything else.
    """
    found: list[float | None] = []
    for item in text.split():
        match = _ITEM.fullmatch(item)
        if match is None:
            hint = (
                "native histograms are not supported" if item.startswith("{{") else "write 0+10x5, 3, _, stale or NaN"
            )
            raise ValueError(f"{item!r} is no value of a series: {hint}")
        times = int(match["times"]) if match["times"] else None
        if len(found) + (times or 0) > MOST_VALUES:
            raise ValueError(f"a series of more than {MOST_VALUES} values")
        found += _expanded(match, times)
    return found


def series(text: str) -> Labels:
    """The label set that `text` names, such as `up{job="embed"}`. Raises `ValueError`."""
    if not text.strip().removeprefix("{").removesuffix("}").strip():
        return Labels()
    node = syntax.parse(text)
    if not isinstance(node, syntax.VectorSelector) or node.offset is not None or node.at is not None:
        raise ValueError(f'{text!r} names no series: write it like up{{job="embed"}}')
    pairs = {m.name: m.value for m in node.matchers.matchers}
    if any(str(m.op) != "MatchOp.Equal" for m in node.matchers.matchers) or node.matchers.or_matchers:
        raise ValueError(f"{text!r} names no series: only = is taken between a label and its value")
    return Labels(pairs | ({METRIC_NAME: node.name} if node.name else {}))


def _expanded(match: re.Match[str], times: int | None) -> list[float | None]:
    if match["gap"]:
        return [None] * (1 if times is None else times)
    if match["stale"]:
        return [STALE] * (1 if times is None else times + 1)
    value, step = float(match["start"]), float(match["step"] or "0")
    if times is None:
        if match["step"]:
            raise ValueError(f"{match[0]!r} lacks how often: write {match[0]}x5")
        return [value]
    expanded: list[float | None] = []
    for _ in range(times + 1):
        expanded.append(value)
        value += step
    return expanded
