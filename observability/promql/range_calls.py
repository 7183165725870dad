"""Functions of ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from observability.promql import over_time, rates, regression
from observability.promql.expressions import Moment, ScalarExpression, VectorExpression
from observability.promql.label_table import LabelTable
from observability.promql.selectors import RangeSelector, asserted_labels
from observability.promql.source import Windows
from observability.promql.vector import Floats, Vector, none_of, single

OVER_TIME: Final[dict[str, Callable[[Windows], Floats]]] = {
    "avg_over_time": over_time.mean,
    "changes": over_time.changes,
    "count_over_time": over_time.count,
    "last_over_time": over_time.last,
    "max_over_time": over_time.maximum,
    "min_over_time": over_time.minimum,
    "present_over_time": over_time.present,
    "resets": over_time.resets,
    "stddev_over_time": over_time.standard_deviation,
    "stdvar_over_time": over_time.variance,
    "sum_over_time": over_time.total,
}
RATES: Final = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
"""Whether it is of a counter, and whether it is per second."""
INSTANT_RATES: Final = {"irate": True, "idelta": False}
"""Whether it is of a counter."""


@dataclass(frozen=True, slots=True)
class OverTime(VectorExpression):
    """A function of all samples of each series. Only `last_over_time` keeps metric names: it is still that metric."""

    name: str
    selector: RangeSelector

    def vector(self, moment: Moment) -> Vector:
        windows = self.selector.windows(moment)
        values = OVER_TIME[self.name](windows) if len(windows) else np.zeros(0)
        vector = Vector(windows.table, windows.rows, values)
        return vector if self.name == "last_over_time" else vector.nameless()


@dataclass(frozen=True, slots=True)
class Rate(VectorExpression):
    name: str
    selector: RangeSelector

    def vector(self, moment: Moment) -> Vector:
        counter, per_second = RATES[self.name]
        windows, values = rates.extrapolated(
            self.selector.windows(moment),
            range_ms=self.selector.range_ms,
            until_ms=self.selector.until(moment),
            counter=counter,
            per_second=per_second,
        )
        return Vector(windows.table, windows.rows, values).nameless()


@dataclass(frozen=True, slots=True)
class InstantRate(VectorExpression):
    name: str
    selector: RangeSelector

    def vector(self, moment: Moment) -> Vector:
        windows, values = rates.instant(self.selector.windows(moment), counter=INSTANT_RATES[self.name])
        return Vector(windows.table, windows.rows, values).nameless()


@dataclass(frozen=True, slots=True)
class Derivative(VectorExpression):
    selector: RangeSelector

    def vector(self, moment: Moment) -> Vector:
        windows, values = regression.slope(self.selector.windows(moment))
        return Vector(windows.table, windows.rows, values).nameless()


@dataclass(frozen=True, slots=True)
class Prediction(VectorExpression):
    """Ahead of the time of evaluation, also where the range lies elsewhere."""

    selector: RangeSelector
    ahead_s: ScalarExpression

    def vector(self, moment: Moment) -> Vector:
        windows, values = regression.predicted(
            self.selector.windows(moment), at_ms=moment.time_ms, ahead_s=self.ahead_s.value(moment)
        )
        return Vector(windows.table, windows.rows, values).nameless()


@dataclass(frozen=True, slots=True)
class QuantileOverTime(VectorExpression):
    share: ScalarExpression
    selector: RangeSelector

    def vector(self, moment: Moment) -> Vector:
        windows = self.selector.windows(moment)
        values = over_time.quantile_of(self.share.value(moment), windows)
        return Vector(windows.table, windows.rows, values).nameless()


@dataclass(frozen=True, slots=True)
class AbsentOverTime(VectorExpression):
    """1 when no series has a sample in the range."""

    selector: RangeSelector
    _table: LabelTable = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_table", LabelTable([asserted_labels(self.selector.selector)]))

    def vector(self, moment: Moment) -> Vector:
        return none_of(self._table) if len(self.selector.windows(moment)) else single(self._table, 1.0)
