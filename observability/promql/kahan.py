"""Sums that keep what rounding loses: Kahan's, with Neumaier's improvement, as Prometheus adds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from observability.promql.vector import Floats


def added(increment: Floats, total: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """The new totals and what rounding has lost so far, both (n,); an infinite total has lost nothing."""
    new = total + increment
    larger_total = np.abs(total) >= np.abs(increment)
    lost = lost + np.where(larger_total, (total - new) + increment, (increment - new) + total)
    return new, np.where(np.isinf(new), 0.0, lost)


def total(values: Sequence[float]) -> float:
    """The sum of `values`, rounded once."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # beyond a float, or infinities of both signs
        return float(np.sum(np.asarray(values, dtype=np.float64)))


def mean(values: Sequence[float]) -> float:
    """The mean of `values`, also where their sum is beyond a float: from there on it is a running one."""
    plain = total(values)
    return _running_mean(values) if math.isinf(plain) else plain / len(values)


def _running_mean(values: Sequence[float]) -> float:
    average, lost, overflowed = values[0], 0.0, False
    for count, value in enumerate(values[1:], start=2):
        if not overflowed:
            new_total, new_lost = _added(value, average, lost)
            if not math.isinf(new_total):
                average, lost = new_total, new_lost
                continue
            average, lost, overflowed = average / (count - 1), lost / (count - 1), True
        share = (count - 1) / count
        average, lost = _added(value / count, share * average, share * lost)
    return average + lost if overflowed else average / len(values) + lost / len(values)


def _added(increment: float, total: float, lost: float) -> tuple[float, float]:
    new = total + increment
    if math.isinf(new):
        return new, 0.0
    if abs(total) >= abs(increment):
        return new, lost + ((total - new) + increment)
    return new, lost + ((increment - new) + total)
