"""Where series are read from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from observability.promql.label_table import LabelTable, Rows
from observability.promql.labels import Labels
from observability.promql.matchers import Selector
from observability.promql.vector import Floats, Times, Vector


@dataclass(frozen=True, slots=True)
class Windows:
    """The samples of some series in one range of time, oldest first, without staleness markers.

    `rows` and `counts` are (n,), every count at least 1; `times_ms` and `values` are (longest, n), one column for each
    series. What lies below a column's count is padding of any value.
    """

    table: LabelTable
    rows: Rows
    counts: npt.NDArray[np.int64]
    times_ms: Times
    values: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def taken(self, mask: npt.NDArray[np.bool_]) -> Windows:
        """Some of the series."""
        return (
            self
            if mask.all()
            else Windows(self.table, self.rows[mask], self.counts[mask], self.times_ms[:, mask], self.values[:, mask])
        )


class SeriesSource(Protocol):
    """Reads series. The same table should come back for the same selector while the set of series is the same."""

    def latest(self, selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        """The last sample in (at - lookback, at] of each series; none for a series whose last one is a staleness marker.

        The vector's `times_ms` are set.
        """
        ...

    def window(self, selector: Selector, *, after_ms: int, until_ms: int) -> Windows:
        """All samples in (after, until] of the series that have one."""
        ...


class SeriesSink(Protocol):
    """Takes what recording and alerting rules yield."""

    def append(self, series: Labels, *, time_ms: int, value: float) -> bool:
        """Add a sample; False when it is not newer than the series' last one, or there is no room for a new series."""
        ...

    def append_all(self, values: Iterable[tuple[Labels, float]], *, time_ms: int) -> list[Labels]:
        """Add a sample of one time to each series; which ones took theirs.

        For many at once: a writer that gets its turn anew for each sample hardly comes on while others read.
        """
        ...
