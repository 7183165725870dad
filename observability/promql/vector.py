"""Values: what an expression yields at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from observability.promql.label_table import LabelTable, Rows
from observability.promql.labels import Labels

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Sample(NamedTuple):
    """One series' value."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """The values of some rows of a table of label sets, in an order that means something only after `sort` and `topk`.

    `rows` and `values` are (n,). `times_ms` are those of the samples, where the values are samples.
    """

    table: LabelTable
    rows: Rows
    values: Floats
    times_ms: Times | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> list[Labels]:
        return [self.table.labels[row] for row in self.rows.tolist()]

    @property
    def samples(self) -> list[Sample]:
        return [Sample(*pair) for pair in zip(self.labels, self.values.tolist(), strict=True)]

    def with_values(self, values: Floats) -> Vector:
        """The same series with other values, which are no samples any more."""
        return Vector(self.table, self.rows, values)

    def taken(self, mask: Mask | Rows) -> Vector:
        """Some of the series."""
        times = None if self.times_ms is None else self.times_ms[mask]
        return Vector(self.table, self.rows[mask], self.values[mask], times)

    def nameless(self) -> Vector:
        """Without metric names; raises `EvaluationError` where that leaves two equal label sets."""
        return Vector(self.table.nameless(), self.rows, self.values).checked()

    def checked(self) -> Vector:
        """Itself; raises `EvaluationError` if a label set occurs twice."""
        self.table.check_distinct(self.rows)
        return self


def single(table: LabelTable, value: float) -> Vector:
    """The one series of a table."""
    return Vector(table, np.zeros(1, dtype=np.intp), np.array([value]))


def none_of(table: LabelTable) -> Vector:
    """No series; of a table that stays the same, so that what others know of it stays, too."""
    return Vector(table, np.zeros(0, dtype=np.intp), np.zeros(0))
