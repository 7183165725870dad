"""A subset of PromQL over a small interface for reading series, with the semantics of Prometheus 3."""

from observability.promql.errors import EvaluationError, ExpressionError, PromQLError, UnsupportedError
from observability.promql.labels import Labels
from observability.promql.memory import MemorySeries
from observability.promql.query import Points, Query, parse
from observability.promql.source import SeriesSink, SeriesSource, Windows
from observability.promql.staleness import STALE
from observability.promql.vector import Sample, Vector

__all__ = [
    "STALE",
    "EvaluationError",
    "ExpressionError",
    "Labels",
    "MemorySeries",
    "Points",
    "PromQLError",
    "Query",
    "Sample",
    "SeriesSink",
    "SeriesSource",
    "UnsupportedError",
    "Vector",
    "Windows",
    "parse",
]
