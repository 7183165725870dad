"""What an expression is: something that has a value at a moment, a number or a vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from observability.promql.source import SeriesSource
from observability.promql.staleness import DEFAULT_LOOKBACK_MS
from observability.promql.vector import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and on what an expression is evaluated. `start_ms` and `end_ms` are those of the query, for `@ start()`."""

    source: SeriesSource
    time_ms: int
    start_ms: int
    end_ms: int
    lookback_ms: int = DEFAULT_LOOKBACK_MS


class ScalarExpression(ABC):
    """Yields a number."""

    @abstractmethod
    def value(self, moment: Moment) -> float: ...


class VectorExpression(ABC):
    """Yields a value for each of some series.

    Raises `EvaluationError` where Prometheus would: two series with equal labels, matches that are not unique.
    """

    @abstractmethod
    def vector(self, moment: Moment) -> Vector: ...


Expression = ScalarExpression | VectorExpression
