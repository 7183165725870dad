"""A histogram as the series that Prometheus makes of it: buckets up to each bound, up to infinity, the sum, the count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from observability.prometheus_names import BUCKET, COUNT, SUM, bound_name
from observability.promql.labels import BUCKET as BUCKET_LABEL
from observability.promql.labels import METRIC_NAME, Labels

LARGEST: Final = 2**63
"""Integers of a message may be of any size; those of a sample may not."""


def histogram_series(family: str, bounds: Sequence[float], labels: Mapping[str, str]) -> Iterator[Labels]:
    """The series, in the order of their values."""
    for bound in (*map(bound_name, bounds), "+Inf"):
        yield Labels({**labels, METRIC_NAME: family + BUCKET, BUCKET_LABEL: bound})
    yield Labels({**labels, METRIC_NAME: family + SUM})
    yield Labels({**labels, METRIC_NAME: family + COUNT})


def histogram_values(counts: Sequence[int], total: float) -> list[float]:
    """Their values, of the counts of each bucket alone and the sum of all that was observed."""
    cumulative = [float(min(count, LARGEST)) for count in accumulate(counts)]
    return [*cumulative, total, cumulative[-1]]
