"""Functions of the samples of a range: `*_over_time`, `changes`, `resets`.

Each takes windows and yields one value for each series. Additions run through the samples in their order, for all
series at once, so that results are those of Prometheus to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from observability.promql import kahan
from observability.promql.quantiles import quantile
from observability.promql.source import Windows
from observability.promql.vector import Floats, Mask


def count(windows: Windows) -> Floats:
    return windows.counts.astype(np.float64)


def present(windows: Windows) -> Floats:
    return np.ones(len(windows))


def last(windows: Windows) -> Floats:
    return windows.values[windows.counts - 1, np.arange(len(windows))]


def maximum(windows: Windows) -> Floats:
    """The largest; NaN only where there is nothing else."""
    largest: Floats = np.fmax.reduce(_padded_with_nan(windows), axis=0, initial=np.nan)
    return largest


def minimum(windows: Windows) -> Floats:
    """The smallest; NaN only where there is nothing else."""
    smallest: Floats = np.fmin.reduce(_padded_with_nan(windows), axis=0, initial=np.nan)
    return smallest


def total(windows: Windows) -> Floats:
    sums, lost = _sums(windows)
    return np.where(np.isinf(sums), sums, sums + lost)


def mean(windows: Windows) -> Floats:
    sums, lost = _sums(windows)
    means = sums / windows.counts + lost / windows.counts
    # A sum beyond a float need not make its mean so.
    for column in np.flatnonzero(np.isinf(sums)).tolist():
        means[column] = kahan.mean(windows.values[: windows.counts[column], column].tolist())
    return means


def variance(windows: Windows) -> Floats:
    """The population variance, by Welford's method with compensated additions."""
    means, means_lost, squares, squares_lost = np.zeros((4, len(windows)))
    for number, values, within in _steps(windows):
        away = values - (means + means_lost)
        new_means, new_means_lost = kahan.added(away / (number + 1), means, means_lost)
        gain = away * (values - (new_means + new_means_lost))
        new_squares, new_squares_lost = kahan.added(gain, squares, squares_lost)
        means, means_lost = np.where(within, new_means, means), np.where(within, new_means_lost, means_lost)
        squares, squares_lost = (
            np.where(within, new_squares, squares),
            np.where(within, new_squares_lost, squares_lost),
        )
    return (squares + squares_lost) / windows.counts


def standard_deviation(windows: Windows) -> Floats:
    return np.sqrt(variance(windows))


def quantile_of(share: float, windows: Windows) -> Floats:
    columns = zip(windows.values.T, windows.counts.tolist(), strict=True)
    return np.array([quantile(share, column[:size]) for column, size in columns], dtype=np.float64)


def changes(windows: Windows) -> Floats:
    """How often the value changed; from NaN to NaN is no change."""
    before, after = windows.values[:-1], windows.values[1:]
    changed = (before != after) & ~(np.isnan(before) & np.isnan(after))
    return _counted(changed & _later(windows))


def resets(windows: Windows) -> Floats:
    """How often a counter fell."""
    fell = windows.values[1:] < windows.values[:-1]
    return _counted(fell & _later(windows))


def _counted(happened: Mask) -> Floats:
    counted: Floats = happened.sum(axis=0, dtype=np.float64)
    return counted


def _sums(windows: Windows) -> tuple[Floats, Floats]:
    sums, lost = np.zeros((2, len(windows)))
    shortest = windows.counts.min(initial=len(windows.values))
    for number, values, within in _steps(windows):
        if number == 0:
            sums = values.copy()
            continue
        new_sums, new_lost = kahan.added(values, sums, lost)
        if number >= shortest:
            new_sums, new_lost = np.where(within, new_sums, sums), np.where(within, new_lost, lost)
        sums, lost = new_sums, new_lost
    return sums, lost


def _steps(windows: Windows) -> Iterator[tuple[int, Floats, Mask]]:
    """The first samples of all series, the second ones, and so on, and which series have one."""
    for number, values in enumerate(windows.values):
        yield number, values, number < windows.counts


def _later(windows: Windows) -> Mask:
    """Which samples from the second on there are, (longest - 1, n)."""
    return np.arange(1, len(windows.values))[:, None] < windows.counts


def _padded_with_nan(windows: Windows) -> Floats:
    within = np.arange(len(windows.values))[:, None] < windows.counts
    return np.where(within, windows.values, np.nan)
