"""How fast series change over a range: `rate`, `increase`, `delta`, `irate`, `idelta`.

Prometheus' rules: a counter that fell was reset to zero; the change between the first and the last sample is
extrapolated to the range's ends, or by half a sample's distance where the series seems to begin or end within it,
never to before a counter was zero. (`extrapolatedRate` in promql/functions.go of Prometheus 3.)
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from observability.promql.source import Windows
from observability.promql.vector import Floats

Number = TypeVar("Number", np.int64, np.float64)

CLOSE: Final = 1.1
"""A range's end is near when it is no further than this many mean distances between samples."""

Change = tuple[Windows, Floats]
"""The windows that have a result, and the results."""


def extrapolated(windows: Windows, *, range_ms: int, until_ms: int, counter: bool, per_second: bool) -> Change:
    """The change over (until - range, until], for series with two samples at least."""
    windows = windows.taken(windows.counts >= 2)
    if not len(windows):
        return windows, np.zeros(0)
    first, last = windows.values[0], _last(windows.values, windows.counts)
    change = last - first
    if counter:
        change = _undo_resets(windows, change)
    first_ms, last_ms = windows.times_ms[0], _last(windows.times_ms, windows.counts)
    sampled_s = (last_ms - first_ms) / 1000
    mean_distance_s = sampled_s / (windows.counts - 1)
    to_start_s = (first_ms - (until_ms - range_ms)) / 1000
    to_end_s = (until_ms - last_ms) / 1000
    to_start_s = np.where(to_start_s >= mean_distance_s * CLOSE, mean_distance_s / 2, to_start_s)
    if counter:
        to_zero_s = np.where((change > 0) & (first >= 0), sampled_s * (first / change), to_start_s)
        to_start_s = np.where(to_zero_s < to_start_s, to_zero_s, to_start_s)
    to_end_s = np.where(to_end_s >= mean_distance_s * CLOSE, mean_distance_s / 2, to_end_s)
    factor = (sampled_s + to_start_s + to_end_s) / sampled_s
    if per_second:
        factor = factor / (range_ms / 1000)
    return windows, change * factor


def instant(windows: Windows, *, counter: bool) -> Change:
    """The change between the last two samples: per second, and minding resets, of a counter."""
    windows = windows.taken(windows.counts >= 2)
    before = _last(windows.values, windows.counts - 1)
    after = _last(windows.values, windows.counts)
    if not counter:
        return windows, after - before
    apart_s = (_last(windows.times_ms, windows.counts) - _last(windows.times_ms, windows.counts - 1)) / 1000
    return windows, np.where(after < before, after, after - before) / apart_s


def _undo_resets(windows: Windows, change: Floats) -> Floats:
    values, counts = windows.values, windows.counts
    fell = values[1:] < values[:-1]
    for number in np.flatnonzero(fell.any(axis=1)).tolist():
        change = change + np.where(fell[number] & (number + 1 < counts), values[number], 0.0)
    return change


def _last(samples: npt.NDArray[Number], counts: npt.NDArray[np.int64]) -> npt.NDArray[Number]:
    return samples[counts - 1, np.arange(len(counts))]
