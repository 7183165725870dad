"""Which functions there are, and what their arguments are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import promql_parser as syntax

from observability.promql import translation
from observability.promql.calls import (
    Absent,
    HistogramQuantile,
    LabelReplace,
    ScalarOf,
    Sort,
    Time,
    Timestamp,
    VectorOf,
)
from observability.promql.elementwise import ELEMENTWISE, ElementwiseCall
from observability.promql.errors import ExpressionError, UnsupportedError
from observability.promql.expressions import Expression
from observability.promql.range_calls import (
    INSTANT_RATES,
    OVER_TIME,
    RATES,
    AbsentOverTime,
    Derivative,
    InstantRate,
    OverTime,
    Prediction,
    QuantileOverTime,
    Rate,
)

Arguments = list[syntax.Expr]


def call(name: str, arguments: Arguments) -> Expression:
    """The call of a function; the parser has checked how many arguments there are and of which type.

    Raises `UnsupportedError` for a function outside the subset.
    """
    if name in OVER_TIME:
        return OverTime(name, translation.selected_range(arguments[0]))
    if name in RATES:
        return Rate(name, translation.selected_range(arguments[0]))
    if name in INSTANT_RATES:
        return InstantRate(name, translation.selected_range(arguments[0]))
    if name in ELEMENTWISE:
        numbers = tuple(translation.scalar(argument) for argument in arguments[1:])
        return ElementwiseCall(name, translation.vector(arguments[0]), numbers)
    if name not in OTHERS:
        raise UnsupportedError(f"the function {name}()")
    return OTHERS[name](arguments)


def _label_replace(arguments: Arguments) -> Expression:
    target, replacement, source, pattern = (translation.text(argument) for argument in arguments[1:])
    if not target:
        raise ExpressionError("label_replace() needs the name of a label as its second argument")
    return LabelReplace(translation.vector(arguments[0]), target, replacement, source, pattern)


def _vector_of(arguments: Arguments) -> Expression:
    return VectorOf(translation.scalar(arguments[0]))


OTHERS: Final[Mapping[str, Callable[[Arguments], Expression]]] = MappingProxyType(
    {
        "absent": lambda given: Absent(translation.vector(given[0])),
        "absent_over_time": lambda given: AbsentOverTime(translation.selected_range(given[0])),
        "deriv": lambda given: Derivative(translation.selected_range(given[0])),
        "histogram_quantile": lambda given: HistogramQuantile(
            translation.scalar(given[0]), translation.vector(given[1])
        ),
        "label_replace": _label_replace,
        "predict_linear": lambda given: Prediction(translation.selected_range(given[0]), translation.scalar(given[1])),
        "quantile_over_time": lambda given: QuantileOverTime(
            translation.scalar(given[0]), translation.selected_range(given[1])
        ),
        "scalar": lambda given: ScalarOf(translation.vector(given[0])),
        "sort": lambda given: Sort(translation.vector(given[0]), descending=False),
        "sort_desc": lambda given: Sort(translation.vector(given[0]), descending=True),
        "time": lambda _: Time(),
        "timestamp": lambda given: Timestamp(translation.vector(given[0])),
        "vector": _vector_of,
    }
)
