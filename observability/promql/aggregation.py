"""Aggregations: many series into one for each group, or the first few of each group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from observability.promql import kahan
from observability.promql.calls import order
from observability.promql.errors import EvaluationError
from observability.promql.expressions import Moment, ScalarExpression, VectorExpression
from observability.promql.label_table import Groups, LabelTable, Rows, grouped
from observability.promql.labels import METADATA, Labels
from observability.promql.quantiles import quantile
from observability.promql.vector import Floats, Vector


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by (labels)` or `without (labels)`; without either all series are one group, which is `by ()`."""

    labels: tuple[str, ...] = ()
    without: bool = False

    def of(self, labels: Labels) -> Labels:
        return labels.without({*self.labels, *METADATA}) if self.without else labels.only(self.labels)

    def groups(self, table: LabelTable) -> Groups:
        return grouped(table, ("groups", self), self.of)


def _standard_deviation(values: Sequence[float]) -> float:
    return math.sqrt(_variance(values))


def _variance(values: Sequence[float]) -> float:
    """The population variance by Welford's method; NaN with a value that is not finite."""
    average, squares = 0.0, 0.0
    for count, value in enumerate(values, start=1):
        away = value - average
        average += away / count
        squares += away * (value - average)
    return squares / len(values)


EACH: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": kahan.total,
    "avg": kahan.mean,
    "stddev": _standard_deviation,
    "stdvar": _variance,
}
"""Of the values of one group."""

AT_ONCE: Final[dict[str, Callable[[Floats, Rows], Floats]]] = {
    "max": np.fmax.reduceat,
    "min": np.fmin.reduceat,
}
"""Of all groups, whose values lie behind each other from `starts` on."""


@dataclass(frozen=True, slots=True)
class Aggregation(VectorExpression):
    """One value for each group that has a series."""

    name: str
    operand: VectorExpression
    grouping: Grouping
    share: ScalarExpression | None = None
    """Of `quantile`."""

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        share = math.nan if self.share is None else self.share.value(moment)
        groups = self.grouping.groups(vector.table)
        ids = groups.ids[vector.rows]
        by_group = np.argsort(ids, kind="stable")
        found, starts, counts = np.unique(ids[by_group], return_index=True, return_counts=True)
        return Vector(groups.table, found, self._values(vector.values[by_group], starts, counts, share))

    def _values(self, values: Floats, starts: Rows, counts: Rows, share: float) -> Floats:
        if self.name == "count":
            return counts.astype(np.float64)
        if self.name == "group":
            return np.ones(len(starts))
        if not len(starts):
            return np.zeros(0)
        if self.name in AT_ONCE:
            return AT_ONCE[self.name](values, starts)
        if self.name == "quantile":
            return np.array([quantile(share, part) for part in np.split(values, starts[1:])])
        listed, each = values.tolist(), EACH[self.name]
        return np.array([each(listed[start:end]) for start, end in pairwise([*starts.tolist(), len(listed)])])


@dataclass(frozen=True, slots=True)
class TopK(VectorExpression):
    """The `count` largest (or smallest) of each group, with all their labels, in that order; NaN comes last."""

    operand: VectorExpression
    grouping: Grouping
    count: ScalarExpression
    largest: bool

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        count = self.count.value(moment)
        if math.isnan(count):
            raise EvaluationError("Parameter value is NaN: topk and bottomk need a number of series")
        if count < 1 or not len(vector):
            return vector.taken(np.zeros(0, dtype=np.intp))
        if count >= 2.0**63:
            raise EvaluationError(f"Scalar value {count} overflows int64")
        ranked = order(vector.values, descending=self.largest)
        ids = self.grouping.groups(vector.table).ids[vector.rows[ranked]]
        by_group = np.argsort(ids, kind="stable")
        _, starts, counts = np.unique(ids[by_group], return_index=True, return_counts=True)
        place = np.arange(len(ids)) - np.repeat(starts, counts)
        return vector.with_values(vector.values).taken(ranked[by_group][place < int(count)])
