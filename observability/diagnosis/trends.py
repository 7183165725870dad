"""Where a figure leads, whatever a few odd samples say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from observability.promql.vector import Floats

MOST_POINTS: Final = 120
"""So many samples, evenly chosen, are compared in pairs: about 7,000."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The median slope of all pairs of samples (Theil 1950, Sen 1968): a third of them may be wrong without harm.

    `agreement` is the share of pairs that rise, 0.5 where there is only noise; `span_s` is how long was looked at.
    """

    slope_per_s: float
    agreement: float
    level: float
    """The median."""
    samples: int
    span_s: float

    @property
    def growth(self) -> float:
        """Over the whole span."""
        return self.slope_per_s * self.span_s


def trend(times_s: Floats, values: Floats) -> Trend | None:
    """Of samples in the order of time; None with fewer than three."""
    samples = len(values)
    if samples < 3:
        return None
    chosen = np.linspace(0, samples - 1, min(samples, MOST_POINTS)).round().astype(np.intp)
    x, y = times_s[chosen], values[chosen]
    first, second = np.triu_indices(len(chosen), k=1)
    rises = y[second] - y[first]
    return Trend(
        slope_per_s=median(rises / (x[second] - x[first])),
        agreement=float((rises > 0).mean()),
        level=median(y),
        samples=samples,
        span_s=float(x[-1] - x[0]),
    )


def median(values: Floats) -> float:
    """Of at least one number. `np.median` would do, and import masked arrays (10 MB) to see that it was given none."""
    middle = (len(values) - 1) // 2, len(values) // 2
    return float(np.partition(values, middle)[[*middle]].mean())
