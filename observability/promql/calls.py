"""The remaining functions: of vectors, of their labels, and between numbers and vectors."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from observability.promql.expressions import Moment, ScalarExpression, VectorExpression
from observability.promql.histograms import histogram_quantile
from observability.promql.label_table import LabelTable, Rows
from observability.promql.labels import EMPTY, Labels
from observability.promql.matchers import anchored
from observability.promql.selectors import InstantSelector, asserted_labels
from observability.promql.vector import Floats, Vector, none_of, single
from observability.regular_expressions import Regex, RegexMatch


@dataclass(frozen=True, slots=True)
class Number(ScalarExpression):
    number: float

    def value(self, moment: Moment) -> float:
        return self.number


@dataclass(frozen=True, slots=True)
class Time(ScalarExpression):
    """`time()`: seconds since 1970."""

    def value(self, moment: Moment) -> float:
        return moment.time_ms / 1000


@dataclass(frozen=True, slots=True)
class ScalarOf(ScalarExpression):
    """`scalar(v)`: the value of the only series; NaN when there is not exactly one."""

    operand: VectorExpression

    def value(self, moment: Moment) -> float:
        values = self.operand.vector(moment).values
        return float(values[0]) if len(values) == 1 else math.nan


@dataclass(frozen=True, slots=True)
class VectorOf(VectorExpression):
    """`vector(s)`: a series without labels."""

    operand: ScalarExpression
    _table: LabelTable = field(init=False, repr=False, compare=False, default_factory=lambda: LabelTable([EMPTY]))

    def vector(self, moment: Moment) -> Vector:
        return single(self._table, self.operand.value(moment))


@dataclass(frozen=True, slots=True)
class Timestamp(VectorExpression):
    """`timestamp(v)`: when each sample was taken, in seconds; of anything but a selector the time of evaluation."""

    operand: VectorExpression

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        sampled = isinstance(self.operand, InstantSelector) and vector.times_ms is not None
        times_ms = vector.times_ms if sampled else np.full(len(vector), moment.time_ms)
        return vector.with_values(np.asarray(times_ms) / 1000).nameless()


@dataclass(frozen=True, slots=True)
class Absent(VectorExpression):
    """`absent(v)`: 1 when there is no series."""

    operand: VectorExpression
    _table: LabelTable = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = asserted_labels(self.operand.selector) if isinstance(self.operand, InstantSelector) else EMPTY
        object.__setattr__(self, "_table", LabelTable([known]))

    def vector(self, moment: Moment) -> Vector:
        return none_of(self._table) if len(self.operand.vector(moment)) else single(self._table, 1.0)


@dataclass(frozen=True, slots=True)
class Sort(VectorExpression):
    """By value; NaN last, either way."""

    operand: VectorExpression
    descending: bool

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        return vector.taken(order(vector.values, descending=self.descending))


@dataclass(frozen=True, slots=True)
class HistogramQuantile(VectorExpression):
    share: ScalarExpression
    operand: VectorExpression

    def vector(self, moment: Moment) -> Vector:
        return histogram_quantile(self.share.value(moment), self.operand.vector(moment))


@dataclass(frozen=True, slots=True)
class LabelReplace(VectorExpression):
    """Sets `target` to `replacement`, whose `$1` or `${name}` stand for groups, where all of `source` matches.

    An empty result removes the label.
    """

    operand: VectorExpression
    target: str
    replacement: str
    source: str
    pattern: str
    _regex: Regex = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_regex", anchored(self.pattern))

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        key = ("label_replace", self.target, self.replacement, self.source, self.pattern)
        return Vector(vector.table.mapped(key, self._replaced), vector.rows, vector.values).checked()

    def _replaced(self, labels: Labels) -> Labels:
        match = self._regex.fullmatch(labels.get(self.source, ""))
        return labels if match is None else labels.updated({self.target: _expanded(self.replacement, match)})


def order(values: Floats, *, descending: bool) -> Rows:
    """The positions of `values` by value, equal ones as they stand, NaN last."""
    return np.argsort(-values if descending else values, kind="stable")


_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def _expanded(replacement: str, match: RegexMatch) -> str:
    """`replacement` with its references filled in; one to a group that there is not is empty."""

    def filled(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(filled, replacement)
