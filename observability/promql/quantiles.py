"""The quantile of a few values, as Prometheus interpolates it."""

from __future__ import annotations

import math

import numpy as np

from observability.promql.vector import Floats


def quantile(share: float, values: Floats) -> float:
    """The `share`-quantile of `values`, (n,), between neighbours weighted by distance; NaN sorts as the smallest.

    NaN without values or share; -Inf for a share below 0, +Inf for one above 1.
    """
    if len(values) == 0 or math.isnan(share):
        return math.nan
    if not 0 <= share <= 1:
        return math.copysign(math.inf, share)
    ranked = nan_first(values)
    rank = share * (len(ranked) - 1)
    lower = max(0, math.floor(rank))
    upper = min(len(ranked) - 1, lower + 1)
    weight = rank - math.floor(rank)
    if weight == 0:
        return float(ranked[lower])
    return float(ranked[lower] * (1 - weight) + ranked[upper] * weight)


def nan_first(values: Floats) -> Floats:
    """`values` ascending, NaN before all."""
    ranked = np.sort(values)
    return np.roll(ranked, int(np.isnan(ranked).sum()))
