"""What is asked: the fields of a form, as text, read as Prometheus reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from observability.promql import PromQLError, Query, parse
from observability.promql.durations import milliseconds
from observability.promql.matchers import Selector
from observability.promql.query import parse_query_or_range
from observability.promql.selectors import InstantSelector, RangeSelector, Shift
from observability.querying.errors import bad_data

T = TypeVar("T")

LATEST_MS: Final = 253_402_300_800_000
"""The end of the year 9999: what is later is a slip, such as milliseconds for seconds."""
MOST_MATCHES: Final = 64
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Parameters:
    """The fields of one question. All methods raise `QueryError` for what cannot be read."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """The first value of a field; empty where there is none."""
        values = self._fields.get(name) or ("",)
        return values[0]

    def query(self) -> Query:
        """The expression."""
        return self._parsed(parse)

    def query_or_range(self) -> Query | RangeSelector:
        """The expression, which may also be a plain range of samples, as `up[5m]`."""
        return self._parsed(parse_query_or_range)

    def time_ms(self, name: str, *, default_ms: int | None = None) -> int:
        """A time in milliseconds since 1970: seconds as a number, or as RFC 3339 says."""
        text = self.text(name)
        if not text and default_ms is not None:
            return default_ms
        found = _milliseconds_of(text)
        if found is None:
            raise bad_data(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp')
        return found

    def duration_ms(self, name: str, *, default_ms: int | None = None) -> int:
        """A duration in milliseconds: seconds as a number, or such as `1h30m`."""
        text = self.text(name)
        if not text and default_ms is not None:
            return default_ms
        try:
            found = round(float(text) * 1000) if _NUMBER.fullmatch(text) else milliseconds(text)
        except (ValueError, OverflowError):
            found = LATEST_MS + 1
        if not -LATEST_MS <= found <= LATEST_MS:
            raise bad_data(f'invalid parameter "{name}": cannot parse "{text}" to a valid duration')
        return found

    def limit(self, name: str = "limit") -> int | None:
        """How many results are wanted at most; None is all."""
        text = self.text(name)
        if not text:
            return None
        if not re.fullmatch(r"\d{1,18}", text):
            raise bad_data(f'invalid parameter "{name}": "{text}" is no number from 0 on')
        return int(text) or None

    def selectors(self) -> list[Selector]:
        """The selectors in `match[]`; a series is meant that any of them means."""
        texts = list(self._fields.get("match[]", ()))
        if len(texts) > MOST_MATCHES:
            raise bad_data(f'invalid parameter "match[]": {len(texts)} selectors, at most {MOST_MATCHES}')
        return [_selector(text) for text in texts]

    def _parsed(self, parsed: Callable[[str], T]) -> T:
        try:
            return parsed(self.text("query"))
        except PromQLError as error:
            raise bad_data(f'invalid parameter "query": {error}') from error


def _milliseconds_of(text: str) -> int | None:
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        found = round(seconds * 1000) if math.isfinite(seconds) and abs(seconds) < LATEST_MS else LATEST_MS + 1
    elif _RFC3339.fullmatch(text):
        try:
            found = round(datetime.fromisoformat(_at_most_micro(text.upper())).timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
    else:
        return None
    return found if -LATEST_MS <= found <= LATEST_MS else None


def _at_most_micro(text: str) -> str:
    """Nanoseconds, which Grafana sends, cut to what Python reads."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _selector(text: str) -> Selector:
    try:
        found = parse(text).expression
    except PromQLError as error:
        raise bad_data(f'invalid parameter "match[]": {error}') from error
    if not isinstance(found, InstantSelector) or found.shift != Shift():
        raise bad_data(f'invalid parameter "match[]": {text} is no selector such as up{{service="embed"}}')
    return found.selector
