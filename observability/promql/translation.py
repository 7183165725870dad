"""From the parser's syntax tree to expressions that can be evaluated; what is outside the subset is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import promql_parser as syntax

from contracts.silences import MatchOperator
from observability.promql.aggregation import AT_ONCE, EACH, Aggregation, Grouping, TopK
from observability.promql.binary import (
    NumberOperator,
    ScalarNegation,
    ScalarOperation,
    SetOperation,
    VectorNegation,
    VectorOperation,
    VectorScalarOperation,
)
from observability.promql.calls import Number
from observability.promql.errors import ExpressionError, UnsupportedError
from observability.promql.expressions import Expression, ScalarExpression, VectorExpression
from observability.promql.labels import METRIC_NAME
from observability.promql.matchers import Matcher, Selector
from observability.promql.matching import Cardinality, Matching
from observability.promql.operators import ArithmeticOperator, ComparisonOperator, SetOperator
from observability.promql.selectors import Edge, InstantSelector, RangeSelector, Shift

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)

_MATCH: Final = {
    "MatchOp.Equal": MatchOperator.EQUAL,
    "MatchOp.NotEqual": MatchOperator.NOT_EQUAL,
    "MatchOp.Re": MatchOperator.REGEX,
    "MatchOp.NotRe": MatchOperator.NOT_REGEX,
}
_CARDINALITY: Final = {
    "VectorMatchCardinality.OneToOne": Cardinality.ONE_TO_ONE,
    "VectorMatchCardinality.ManyToOne": Cardinality.MANY_TO_ONE,
    "VectorMatchCardinality.OneToMany": Cardinality.ONE_TO_MANY,
    "VectorMatchCardinality.ManyToMany": Cardinality.ONE_TO_ONE,  # of set operators, which match whole groups
}


def expression(node: syntax.Expr) -> Expression:
    """Raises `UnsupportedError` for what is outside the subset, `ExpressionError` for a regular expression of no use."""
    translate = _TRANSLATIONS.get(type(node))
    if translate is None:
        raise UnsupportedError(_named(node))
    return translate(node)


def scalar(node: syntax.Expr) -> ScalarExpression:
    """An argument that is a number."""
    found = expression(node)
    if not isinstance(found, ScalarExpression):
        raise ExpressionError(f"expected a scalar, got a vector: {node.prettify()}")
    return found


def vector(node: syntax.Expr) -> VectorExpression:
    """An argument that is an instant vector."""
    found = expression(node)
    if not isinstance(found, VectorExpression):
        raise ExpressionError(f"expected an instant vector, got a scalar: {node.prettify()}")
    return found


def selected_range(node: syntax.Expr) -> RangeSelector:
    """An argument that is a range vector."""
    if not isinstance(node, syntax.MatrixSelector):
        raise UnsupportedError(_named(node))
    found = node.vector_selector
    return RangeSelector(_selector(found), _milliseconds(node.range), _shift(found))


def text(node: syntax.Expr) -> str:
    """An argument that is a string."""
    if not isinstance(node, syntax.StringLiteral):
        raise ExpressionError(f"expected a string, got {node.prettify()}")
    return node.val


def bare(node: syntax.Expr) -> syntax.Expr:
    """`node` without the parentheses around it."""
    while isinstance(node, syntax.ParenExpr):
        node = node.expr
    return node


def _named(node: syntax.Expr) -> str:
    match node:
        case syntax.SubqueryExpr():
            return f"the subquery {node.prettify()}"
        case syntax.StringLiteral():
            return f"the string {node.prettify()} as a value"
        case syntax.MatrixSelector():
            return f"the range vector {node.prettify()} outside a function of ranges"
    return f"{type(node).__name__} {node.prettify()}"


def _call(node: syntax.Call) -> Expression:
    # Here, because calls hold expressions in turn.
    from observability.promql.functions import call

    return call(node.func.name, [bare(argument) for argument in node.args])


def _negation(node: syntax.UnaryExpr) -> Expression:
    operand = expression(node.expr)
    return ScalarNegation(operand) if isinstance(operand, ScalarExpression) else VectorNegation(operand)


def _selector(node: syntax.VectorSelector) -> Selector:
    if node.matchers.or_matchers:
        raise UnsupportedError(f"`or` between the matchers of {node.prettify()}")
    named = [Matcher(MatchOperator.EQUAL, METRIC_NAME, node.name)] if node.name else []
    others = [Matcher(_MATCH[str(m.op)], m.name, m.value) for m in node.matchers.matchers]
    return Selector((*named, *others))


def _shift(node: syntax.VectorSelector) -> Shift:
    offset_ms = 0 if node.offset is None else _milliseconds(node.offset)
    if node.at is None:
        return Shift(offset_ms)
    if str(node.at.type) == "AtModifierType.Start":
        return Shift(offset_ms, Edge.START)
    if str(node.at.type) == "AtModifierType.End":
        return Shift(offset_ms, Edge.END)
    # The parser cannot hand over times before 1970: it writes them as 0, and asked for one it gives up (panics).
    if "@ 0.000" in node.prettify() or node.at.at is None:
        raise UnsupportedError("the modifier @ with a time that is not after 1970")
    return Shift(offset_ms, _milliseconds(node.at.at - EPOCH))


def _operation(node: syntax.BinaryExpr) -> Expression:
    operator, *_ = str(node.op).split()
    modifier = node.modifier
    if modifier is not None and (modifier.fill_values.lhs, modifier.fill_values.rhs) != (None, None):
        raise UnsupportedError(f"the modifier fill in {node.prettify()}")
    as_bool = modifier is not None and modifier.return_bool
    left, right = expression(node.lhs), expression(node.rhs)
    if operator in {*SetOperator}:
        return _set_operation(SetOperator(operator), left, right, _matching(modifier))
    number_operator = _number_operator(operator)
    match left, right:
        case ScalarExpression(), ScalarExpression():
            return ScalarOperation(number_operator, left, right)
        case VectorExpression(), ScalarExpression():
            return VectorScalarOperation(number_operator, left, right, as_bool=as_bool)
        case ScalarExpression(), VectorExpression():
            return VectorScalarOperation(number_operator, right, left, swapped=True, as_bool=as_bool)
        case VectorExpression(), VectorExpression():
            return VectorOperation(number_operator, left, right, _matching(modifier), as_bool=as_bool)
    raise ExpressionError(f"{operator} needs numbers or instant vectors: {node.prettify()}")


def _number_operator(operator: str) -> NumberOperator:
    if operator in {*ArithmeticOperator}:
        return ArithmeticOperator(operator)
    if operator in {*ComparisonOperator}:
        return ComparisonOperator(operator)
    raise UnsupportedError(f"the operator {operator}")


def _set_operation(operator: SetOperator, left: Expression, right: Expression, matching: Matching) -> SetOperation:
    if isinstance(left, VectorExpression) and isinstance(right, VectorExpression):
        return SetOperation(operator, left, right, matching)
    raise ExpressionError(f"set operator '{operator}' needs an instant vector on both sides")


def _matching(modifier: syntax.BinModifier | None) -> Matching:
    if modifier is None:
        return Matching()
    labels = modifier.matching
    return Matching(
        on=labels is not None and str(labels.type) == "LabelModifierType.Include",
        labels=() if labels is None else tuple(sorted(labels.labels)),
        cardinality=_CARDINALITY[str(modifier.card)],
        included=tuple(sorted(modifier.group_labels or ())),
    )


def _aggregation(node: syntax.AggregateExpr) -> VectorExpression:
    name = str(node.op)
    if name not in {"count", "group", "quantile", "topk", "bottomk", *EACH, *AT_ONCE}:
        raise UnsupportedError(f"the aggregation {name}")
    operand, grouping = vector(node.expr), _grouping(node.modifier)
    parameter = None if node.param is None else scalar(node.param)
    if name in {"topk", "bottomk"} and parameter is not None:
        return TopK(operand, grouping, parameter, largest=name == "topk")
    return Aggregation(name, operand, grouping, parameter)


def _grouping(modifier: syntax.AggModifier | None) -> Grouping:
    if modifier is None:
        return Grouping()
    without = str(modifier.type) == "AggModifierType.Without"
    return Grouping(tuple(sorted(modifier.labels)), without=without)


def _milliseconds(duration: timedelta | None) -> int:
    return 0 if duration is None else round(duration / MILLISECOND)


_TRANSLATIONS: Final[Mapping[type, Callable[[Any], Expression]]] = MappingProxyType(
    {
        syntax.ParenExpr: lambda node: expression(node.expr),
        syntax.NumberLiteral: lambda node: Number(node.val),
        syntax.VectorSelector: lambda node: InstantSelector(_selector(node), _shift(node)),
        syntax.UnaryExpr: _negation,
        syntax.BinaryExpr: _operation,
        syntax.AggregateExpr: _aggregation,
        syntax.Call: _call,
    }
)
