"""What one question may cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from observability.promql import SeriesSource, Vector, Windows
from observability.promql.errors import SampleLimitError
from observability.promql.matchers import Selector
from observability.querying.errors import ErrorKind, QueryError

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """`samples` bounds what all steps of a question read together, `loaded` what it takes from disk and holds, and
    `results` the points of all series that it answers with.
    """

    points: int = 11_000
    """Of one series, as in Prometheus."""
    samples: int = 50_000_000
    loaded: int = 1_500_000
    results: int = 500_000
    timeout_s: float = 30.0


class BoundedSource:
    """A `SeriesSource` that counts what is read, and ends a question that takes too much or too long.

    Raises `SampleLimitError` or, past the deadline, `QueryError`.
    """

    def __init__(
        self, source: SeriesSource, limits: QueryLimits, *, timeout_s: float, monotonic: Monotonic = time.monotonic
    ) -> None:
        self._source = source
        self._most = limits.samples
        self._left = limits.samples
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._deadline = monotonic() + timeout_s

    def latest(self, selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        self._check_time()
        found = self._source.latest(selector, at_ms=at_ms, lookback_ms=lookback_ms)
        self._take(len(found))
        return found

    def window(self, selector: Selector, *, after_ms: int, until_ms: int) -> Windows:
        self._check_time()
        found = self._source.window(selector, after_ms=after_ms, until_ms=until_ms)
        self._take(int(found.counts.sum()))
        return found

    def _check_time(self) -> None:
        if self._monotonic() > self._deadline:
            raise QueryError(
                ErrorKind.TIMEOUT,
                f"query timed out in expression evaluation: it took more than {self._timeout_s:g} s; "
                "select fewer series, a shorter time or a longer step",
            )

    def _take(self, samples: int) -> None:
        self._left -= samples
        if self._left < 0:
            raise SampleLimitError(self._most)
