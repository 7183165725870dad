"""`histogram_quantile` over classic histograms: a series for each bucket, its upper bound in the label `le`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from observability.promql.label_table import LabelTable, Rows, numbered
from observability.promql.labels import BUCKET, Labels
from observability.promql.vector import Floats, Vector

EQUAL_WITHIN: Final = 1e-12
"""Counts of neighbouring buckets that differ by less, relatively, differ by rounding only."""
SMALLEST_NORMAL: Final = float(np.finfo(np.float64).smallest_normal)

Bucket = tuple[float, float]
"""Upper bound and cumulative count."""


@dataclass(frozen=True, slots=True)
class _Histograms:
    """For each row of a table the histogram it belongs to and its bound; NaN where it is no bucket."""

    ids: Rows
    bounds: Floats
    table: LabelTable


def histogram_quantile(share: float, vector: Vector) -> Vector:
    """The `share`-quantile of each histogram, linear within a bucket; its labels are those without `le`.

    Series without a valid `le` are passed over.
    """
    histograms = vector.table.remember("histograms", lambda: _histograms(vector.table))
    bounds = histograms.bounds[vector.rows]
    valid = ~np.isnan(bounds)
    ids, bounds, counts = histograms.ids[vector.rows][valid], bounds[valid], vector.values[valid]
    order = np.lexsort((bounds, ids))
    found, starts = np.unique(ids[order], return_index=True)
    pairs = list(zip(bounds[order].tolist(), counts[order].tolist(), strict=True))
    values = [bucket_quantile(share, pairs[start:end]) for start, end in pairwise([*starts.tolist(), len(pairs)])]
    return Vector(histograms.table, found, np.array(values, dtype=np.float64)).nameless()


def bucket_quantile(share: float, buckets: Sequence[Bucket]) -> float:
    """The `share`-quantile of one histogram whose buckets are sorted by bound.

    NaN without a +Inf bucket, with fewer than two buckets or without observations; -Inf and +Inf for a share outside
    0..1. (`BucketQuantile` in promql/quantile.go of Prometheus 3.)
    """
    if not 0 <= share <= 1:
        return math.nan if math.isnan(share) else math.copysign(math.inf, share)
    if not buckets or buckets[-1][0] != math.inf:
        return math.nan
    bounds, counts = _monotonic(_coalesced(buckets))
    if len(bounds) < 2 or counts[-1] == 0:
        return math.nan
    return _interpolated(share * counts[-1], bounds, counts)


def _interpolated(rank: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """Where the observation of that rank lies, if a bucket's observations are spread evenly."""
    last = len(bounds) - 1
    hit = bisect_left(range(last), True, key=lambda number: counts[number] >= rank)
    if hit == last:
        return bounds[-2]
    if hit == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[hit - 1], counts[hit - 1]) if hit else (0.0, 0.0)
    held = counts[hit] - below
    within = (rank - below) / held if held else math.nan
    return start + (bounds[hit] - start) * within


def _histograms(table: LabelTable) -> _Histograms:
    bounds = np.array([_bound(labels.get(BUCKET, "")) for labels in table.labels], dtype=np.float64)
    keys: list[Labels] = [labels.without({BUCKET}) for labels in table.labels]
    ids, firsts = numbered(keys)
    return _Histograms(ids, bounds, LabelTable([keys[first] for first in firsts]))


def _bound(text: str) -> float:
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _coalesced(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Buckets of the same bound, as "1" and "1.0", are one."""
    merged = [buckets[0]]
    for bound, count in buckets[1:]:
        if bound == merged[-1][0]:
            merged[-1] = bound, merged[-1][1] + count
        else:
            merged.append((bound, count))
    return merged


def _monotonic(buckets: Sequence[Bucket]) -> tuple[list[float], list[float]]:
    """Counts never fall: a count below its predecessor's, or above it by rounding only, takes that one's value."""
    bounds, counts = [buckets[0][0]], [buckets[0][1]]
    previous = counts[0]
    for bound, count in buckets[1:]:
        if not (count == previous or _almost_equal(previous, count) or count < previous):
            previous = count
            counts.append(count)
        else:
            counts.append(previous)
        bounds.append(bound)
    return bounds, counts


def _almost_equal(a: float, b: float) -> bool:
    if math.isnan(a) and math.isnan(b):
        return True
    apart, size = abs(a - b), abs(a) + abs(b)
    if a == 0 or b == 0 or size < SMALLEST_NORMAL:
        return apart < EQUAL_WITHIN * SMALLEST_NORMAL
    return apart / min(size, float(np.finfo(np.float64).max)) < EQUAL_WITHIN
