"""Questions about series, asked and answered as Prometheus' HTTP API does."""

from observability.querying.answers import Answer
from observability.querying.api import QueryableSeries, QueryApi
from observability.querying.errors import ErrorKind, QueryError
from observability.querying.limits import QueryLimits

__all__ = [
    "Answer",
    "ErrorKind",
    "QueryApi",
    "QueryError",
    "QueryLimits",
    "QueryableSeries",
]
