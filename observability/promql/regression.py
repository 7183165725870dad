"""A line through the samples of a range: `deriv`, `predict_linear`."""

from __future__ import annotations

import numpy as np

from observability.promql import kahan
from observability.promql.rates import Change
from observability.promql.source import Windows
from observability.promql.vector import Floats, Times


def slope(windows: Windows) -> Change:
    """Per-second slope by least squares, for series with two samples at least."""
    windows = windows.taken(windows.counts >= 2)
    if not len(windows):
        return windows, np.zeros(0)
    return windows, _line(windows, windows.times_ms[0])[0]


def predicted(windows: Windows, *, at_ms: int, ahead_s: float) -> Change:
    """The line's value `ahead_s` after `at_ms`, for series with two samples at least."""
    windows = windows.taken(windows.counts >= 2)
    slopes, intercepts = _line(windows, np.full(len(windows), at_ms, dtype=np.int64))
    return windows, slopes * ahead_s + intercepts


def _line(windows: Windows, origin_ms: Times) -> tuple[Floats, Floats]:
    """Slopes, and values at `origin_ms`; a constant series has no slope, an infinite one no line."""
    sums = np.zeros((4, len(windows)))
    lost = np.zeros((4, len(windows)))
    constant = np.ones(len(windows), dtype=bool)
    shortest = windows.counts.min(initial=len(windows.values))
    for number, (values, times_ms) in enumerate(zip(windows.values, windows.times_ms, strict=True)):
        within = number < windows.counts
        if number:
            constant &= ~within | (values == windows.values[0])
        x = (times_ms - origin_ms) / 1000
        new_sums, new_lost = kahan.added(np.stack([x, values, x * values, x * x]), sums, lost)
        if number >= shortest:
            new_sums, new_lost = np.where(within, new_sums, sums), np.where(within, new_lost, lost)
        sums, lost = new_sums, new_lost
    sum_x, sum_y, sum_xy, sum_xx = sums + lost
    n = windows.counts
    covariance = sum_xy - sum_x * sum_y / n
    slopes = covariance / (sum_xx - sum_x * sum_x / n)
    intercepts = sum_y / n - slopes * sum_x / n
    first = windows.values[0] if len(windows) else np.zeros(0)
    flat = np.where(np.isinf(first), np.nan, 0.0), np.where(np.isinf(first), np.nan, first)
    return np.where(constant, flat[0], slopes), np.where(constant, flat[1], intercepts)
