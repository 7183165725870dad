"""Filters applied to metadata one by one, the slow and plain way that every index is held against."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from contracts.comparisons import instant, number
from contracts.queries import Condition, Filters


def holds(filters: Filters, metadata: Mapping[str, str]) -> bool:
    return all(key in metadata and _holds(condition, metadata[key]) for key, condition in filters.metadata.items())


def _holds(condition: Condition, value: str) -> bool:
    return (
        (condition.any_of is None or value in condition.any_of)
        and (condition.prefix is None or value.startswith(condition.prefix))
        and (not condition.bounds or _within(condition, value))
    )


def _within(condition: Condition, value: str) -> bool:
    dates = isinstance(condition.bounds[0], datetime)
    found = instant(value) if dates else number(value)
    if found is None:
        return False
    return not (
        (condition.gt is not None and not found > condition.gt)  # type: ignore[operator]  # two numbers or two dates
        or (condition.gte is not None and not found >= condition.gte)  # type: ignore[operator]
        or (condition.lt is not None and not found < condition.lt)  # type: ignore[operator]
        or (condition.lte is not None and not found <= condition.lte)  # type: ignore[operator]
    )
