"""Operators between expressions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.promql.expressions import Moment, ScalarExpression, VectorExpression
from observability.promql.label_table import Rows, joined_tables
from observability.promql.matching import Cardinality, Matching, keys, pairs
from observability.promql.operators import (
    ARITHMETIC,
    COMPARISON,
    ArithmeticOperator,
    ComparisonOperator,
    SetOperator,
)
from observability.promql.vector import Floats, Mask, Vector, none_of

NumberOperator = ArithmeticOperator | ComparisonOperator


@dataclass(frozen=True, slots=True)
class ScalarOperation(ScalarExpression):
    """Two numbers; a comparison yields 1 or 0."""

    operator: NumberOperator
    left: ScalarExpression
    right: ScalarExpression

    def value(self, moment: Moment) -> float:
        left, right = (np.array([side.value(moment)]) for side in (self.left, self.right))
        if isinstance(self.operator, ArithmeticOperator):
            return float(ARITHMETIC[self.operator](left, right)[0])
        return float(COMPARISON[self.operator](left, right)[0])


@dataclass(frozen=True, slots=True)
class VectorScalarOperation(VectorExpression):
    """Each value of a vector and a number, in the order that `swapped` tells.

    A comparison keeps the series for which it is true, with `as_bool` all of them as 1 or 0.
    """

    operator: NumberOperator
    operand: VectorExpression
    scalar: ScalarExpression
    swapped: bool = False
    as_bool: bool = False

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        number = np.full(len(vector), self.scalar.value(moment))
        left, right = (number, vector.values) if self.swapped else (vector.values, number)
        if isinstance(self.operator, ArithmeticOperator):
            return vector.with_values(ARITHMETIC[self.operator](left, right)).nameless()
        holds = COMPARISON[self.operator](left, right)
        if self.as_bool:
            return vector.with_values(holds.astype(np.float64)).nameless()
        return vector.with_values(vector.values).taken(holds)


@dataclass(frozen=True, slots=True)
class VectorOperation(VectorExpression):
    """Each value of a vector and its match in another; what has no match is left out."""

    operator: NumberOperator
    left: VectorExpression
    right: VectorExpression
    matching: Matching
    as_bool: bool = False

    def vector(self, moment: Moment) -> Vector:
        left, right = self.left.vector(moment), self.right.vector(moment)
        if not len(left) or not len(right):
            return none_of(left.table)
        swapped = self.matching.cardinality is Cardinality.ONE_TO_MANY
        many, one = (right, left) if swapped else (left, right)
        nameless = self.as_bool or isinstance(self.operator, ArithmeticOperator)
        found = pairs(many, one, self.matching, nameless=nameless)
        many_values, one_values = many.values[found.many], one.values[found.one]
        sides = (one_values, many_values) if swapped else (many_values, one_values)
        values, holds = self._result(*sides)
        vector = Vector(found.table, found.rows, values)
        return (vector if holds is None else vector.taken(holds)).checked()

    def _result(self, left: Floats, right: Floats) -> tuple[Floats, Mask | None]:
        if isinstance(self.operator, ArithmeticOperator):
            return ARITHMETIC[self.operator](left, right), None
        holds = COMPARISON[self.operator](left, right)
        return (holds.astype(np.float64), None) if self.as_bool else (left, holds)


@dataclass(frozen=True, slots=True)
class SetOperation(VectorExpression):
    """`and`, `or`, `unless`: which series of the left there are in the right."""

    operator: SetOperator
    left: VectorExpression
    right: VectorExpression
    matching: Matching

    def vector(self, moment: Moment) -> Vector:
        left, right = self.left.vector(moment), self.right.vector(moment)
        left, right = left.with_values(left.values), right.with_values(right.values)
        known = keys(left.table, right.table, self.matching)
        left_keys, right_keys = known.left[left.rows], known.right[right.rows]
        if self.operator is SetOperator.OR:
            return _union(left, right.taken(~_among(right_keys, left_keys, known.count)))
        shared = _among(left_keys, right_keys, known.count)
        return left.taken(shared if self.operator is SetOperator.AND else ~shared)


@dataclass(frozen=True, slots=True)
class ScalarNegation(ScalarExpression):
    operand: ScalarExpression

    def value(self, moment: Moment) -> float:
        return -self.operand.value(moment)


@dataclass(frozen=True, slots=True)
class VectorNegation(VectorExpression):
    operand: VectorExpression

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        return vector.with_values(-vector.values).nameless()


def _among(wanted: Rows, there: Rows, count: int) -> Mask:
    """Which keys in `wanted` are in `there` too; all are below `count`."""
    mask = np.zeros(count, dtype=bool)
    mask[there] = True
    return mask[wanted]


def _union(left: Vector, right: Vector) -> Vector:
    if not len(right):
        return left
    if not len(left):
        return right
    table = joined_tables(left.table, right.table)
    rows = np.concatenate([left.rows, right.rows + len(left.table)])
    return Vector(table, rows, np.concatenate([left.values, right.values]))
