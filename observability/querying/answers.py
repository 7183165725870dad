"""Results in the shapes that Prometheus' HTTP API gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus

from observability.promql import Points, Vector, Windows
from observability.querying.errors import STATUS, QueryError
from observability.rules.numbers import unbounded

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status, and the body as what JSON can say."""

    status: HTTPStatus
    body: Mapping[str, Json]


def success(data: Json, *, warnings: Sequence[str] = ()) -> Answer:
    body: dict[str, Json] = {"status": "success", "data": data}
    if warnings:
        body["warnings"] = list(warnings)
    return Answer(HTTPStatus.OK, body)


def failure(error: QueryError) -> Answer:
    return Answer(STATUS[error.kind], {"status": "error", "errorType": error.kind.value, "error": str(error)})


def vector(found: Vector, *, at_ms: int) -> list[Json]:
    """An instant vector: each series with one value."""
    return [{"metric": dict(labels), "value": point(at_ms, value)} for labels, value in found.samples]


def matrix(found: Sequence[Points]) -> list[Json]:
    """A range vector: each series with its values."""
    return [
        {"metric": dict(series.labels), "values": [point(at_ms, value) for at_ms, value in series.points]}
        for series in found
    ]


def samples(found: Windows) -> list[Json]:
    """A range of samples as it is: each series with its values at their own times."""
    result = [
        Points(found.table.labels[row], tuple(zip(times[:count].tolist(), values[:count].tolist(), strict=True)))
        for row, count, times, values in zip(
            found.rows.tolist(), found.counts.tolist(), found.times_ms.T, found.values.T, strict=True
        )
    ]
    return matrix(sorted(result, key=lambda series: series.labels.pairs))


def point(at_ms: int, value: float) -> list[Json]:
    """Seconds since 1970 and the value, which is text since JSON has no NaN."""
    return [at_ms // 1000 if at_ms % 1000 == 0 else at_ms / 1000, number(value)]


def number(value: float) -> str:
    """The shortest text that is this number, as Go writes it: without an exponent from 1e-6 up to 1e21."""
    if not math.isfinite(value):
        return unbounded(value)
    text = repr(float(value))
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")
