"""What operators do with numbers, one pair or arrays of pairs."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np

from observability.promql.vector import Floats, Mask


class ArithmeticOperator(StrEnum):
    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    MODULO = "%"
    POWER = "^"


class ComparisonOperator(StrEnum):
    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER = ">"
    LESS = "<"
    AT_LEAST = ">="
    AT_MOST = "<="


class SetOperator(StrEnum):
    AND = "and"
    OR = "or"
    UNLESS = "unless"


ARITHMETIC: Final[dict[ArithmeticOperator, Callable[[Floats, Floats], Floats]]] = {
    ArithmeticOperator.ADD: np.add,
    ArithmeticOperator.SUBTRACT: np.subtract,
    ArithmeticOperator.MULTIPLY: np.multiply,
    ArithmeticOperator.DIVIDE: np.divide,
    ArithmeticOperator.MODULO: np.fmod,
    ArithmeticOperator.POWER: np.power,
}

COMPARISON: Final[dict[ComparisonOperator, Callable[[Floats, Floats], Mask]]] = {
    ComparisonOperator.EQUAL: np.equal,
    ComparisonOperator.NOT_EQUAL: np.not_equal,
    ComparisonOperator.GREATER: np.greater,
    ComparisonOperator.LESS: np.less,
    ComparisonOperator.AT_LEAST: np.greater_equal,
    ComparisonOperator.AT_MOST: np.less_equal,
}
