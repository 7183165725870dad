"""Functions of each value on its own: `abs`, `ceil`, `floor`, `round`, `clamp` and its halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from observability.promql.expressions import Moment, ScalarExpression, VectorExpression
from observability.promql.vector import Floats, Vector


def rounded(values: Floats, nearest: float = 1.0) -> Floats:
    """To the nearest multiple of `nearest`; halves up."""
    inverse = np.float64(1.0) / np.float64(nearest)
    return np.floor(values * inverse + 0.5) / inverse


def at_least(values: Floats, bound: float) -> Floats:
    """The larger of both; NaN if either is, save that +Inf is larger than all."""
    larger = np.maximum(values, bound)
    return np.where((values == np.inf) | (bound == np.inf), np.inf, larger)


def at_most(values: Floats, bound: float) -> Floats:
    """The smaller of both; NaN if either is, save that -Inf is smaller than all."""
    smaller = np.minimum(values, bound)
    return np.where((values == -np.inf) | (bound == -np.inf), -np.inf, smaller)


Elementwise = Callable[..., Floats]
"""Takes the values and the function's scalar arguments."""

ELEMENTWISE: Final[dict[str, Elementwise]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "round": rounded,
    "clamp": lambda values, low, high: at_least(at_most(values, high), low),
    "clamp_min": at_least,
    "clamp_max": at_most,
}


@dataclass(frozen=True, slots=True)
class ElementwiseCall(VectorExpression):
    """The function applied to each value; metric names are dropped."""

    name: str
    operand: VectorExpression
    arguments: Sequence[ScalarExpression]

    def vector(self, moment: Moment) -> Vector:
        vector = self.operand.vector(moment)
        numbers = [argument.value(moment) for argument in self.arguments]
        if self.name == "clamp" and numbers[1] < numbers[0]:
            return vector.taken(np.zeros(len(vector), dtype=bool))
        return vector.with_values(ELEMENTWISE[self.name](vector.values, *numbers)).nameless()
