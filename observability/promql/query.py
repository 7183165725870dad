"""Expressions as text: parsed once, evaluated at a moment or over a range of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Final, TypeVar

import numpy as np
import promql_parser as syntax

from observability.promql.bounds import check_bounds
from observability.promql.errors import EvaluationError, ExpressionError, SampleLimitError
from observability.promql.expressions import Expression, Moment, ScalarExpression, VectorExpression
from observability.promql.label_table import LabelTable
from observability.promql.labels import EMPTY, Labels
from observability.promql.selectors import InstantSelector, RangeSelector
from observability.promql.source import SeriesSource
from observability.promql.staleness import DEFAULT_LOOKBACK_MS
from observability.promql.translation import bare, expression, selected_range
from observability.promql.vector import Vector, single

T = TypeVar("T")

MOST_DEEP: Final = 100
"""How deep expressions may be nested: each level takes some of Python's stack when it is evaluated."""
MOST_STEPS: Final = 11_000
"""Of one range query, as in Prometheus."""


@dataclass(frozen=True, slots=True)
class Points:
    """A series of a range query's result: when, in milliseconds, and what."""

    labels: Labels
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed expression. Evaluations change nothing in it, save what it knows of label sets."""

    text: str
    expression: Expression

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.expression, ScalarExpression)

    def instant(self, source: SeriesSource, *, at_ms: int, lookback_ms: int = DEFAULT_LOOKBACK_MS) -> Vector:
        """The value at one moment; a scalar as a vector of one series without labels.

        Raises `EvaluationError` where Prometheus would.
        """
        moment = Moment(source=source, time_ms=at_ms, start_ms=at_ms, end_ms=at_ms, lookback_ms=lookback_ms)
        return self._at(moment)

    def range(
        self,
        source: SeriesSource,
        *,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        lookback_ms: int = DEFAULT_LOOKBACK_MS,
        most_points: int | None = None,
    ) -> list[Points]:
        """The values from start to end, both included, every `step_ms`; series sorted by labels.

        Raises `EvaluationError` where Prometheus would, `SampleLimitError` when there are more than `most_points` in
        all, and `ExpressionError` for a range of no use.
        """
        if step_ms <= 0 or end_ms < start_ms:
            raise ExpressionError("a range query needs a step above 0 and an end not before its start")
        if (end_ms - start_ms) // step_ms >= MOST_STEPS:
            raise ExpressionError(f"more than {MOST_STEPS} steps: take a longer step or a shorter range")
        found: dict[Labels, list[tuple[int, float]]] = {}
        points = 0
        for at_ms in range(start_ms, end_ms + 1, step_ms):
            moment = Moment(source=source, time_ms=at_ms, start_ms=start_ms, end_ms=end_ms, lookback_ms=lookback_ms)
            vector = self._at(moment)
            points += len(vector)
            if most_points is not None and points > most_points:
                raise SampleLimitError(most_points)
            for labels, value in vector.samples:
                found.setdefault(labels, []).append((at_ms, value))
        return [Points(labels, tuple(found[labels])) for labels in sorted(found, key=lambda labels: labels.pairs)]

    def span(self, *, start_ms: int, end_ms: int, lookback_ms: int = DEFAULT_LOOKBACK_MS) -> tuple[int, int]:
        """The samples in (after, until] are what evaluations from start to end may read; nothing where both are end."""
        after_ms, until_ms = [], []
        for selector in _selectors(self.expression):
            reach_ms = selector.range_ms if isinstance(selector, RangeSelector) else lookback_ms
            for at_ms in (start_ms, end_ms):
                until_ms.append(selector.shift.shifted(at_ms, start_ms=start_ms, end_ms=end_ms))
                after_ms.append(until_ms[-1] - reach_ms)
        return min(after_ms, default=end_ms), max(until_ms, default=end_ms)

    def _at(self, moment: Moment) -> Vector:
        try:
            # Divisions by zero and the like have values in PromQL: Inf and NaN.
            with np.errstate(all="ignore"):
                if isinstance(self.expression, ScalarExpression):
                    return single(LabelTable([EMPTY]), self.expression.value(moment))
                return self.expression.vector(moment)
        except EvaluationError as error:
            error.expression = self.text
            raise


def parse(text: str) -> Query:
    """The expression that `text` is.

    Raises `ExpressionError` if it is none, and `UnsupportedError` if it is outside the subset.
    """
    return _query(text, _translated(text, expression))


def parse_query_or_range(text: str) -> Query | RangeSelector:
    """As `parse`, but a plain range of samples, as in `up[5m]`, is taken, too."""
    found = _translated(text, _expression_or_range)
    return found if isinstance(found, RangeSelector) else _query(text, found)


def _query(text: str, found: Expression) -> Query:
    if _depth(found) > MOST_DEEP:
        raise _too_deep(text)
    return Query(text, found)


def _expression_or_range(node: syntax.Expr) -> Expression | RangeSelector:
    plain = bare(node)
    return selected_range(plain) if isinstance(plain, syntax.MatrixSelector) else expression(node)


def _translated(text: str, translate: Callable[[syntax.Expr], T]) -> T:
    check_bounds(text)
    try:
        return translate(syntax.parse(text))
    except ExpressionError as error:
        error.expression = text
        raise
    except RecursionError:
        raise _too_deep(text) from None
    except ValueError as error:  # all that the parser raises
        raise ExpressionError(str(error), expression=text) from error
    except BaseException as error:
        # Where the parser, which is written in Rust, gives up on an expression, that is no `Exception`.
        if type(error).__name__ != "PanicException":
            raise
        raise ExpressionError(f"the parser cannot take this expression: {error}", expression=text) from error


def _too_deep(text: str) -> ExpressionError:
    return ExpressionError(
        f"nested more than {MOST_DEEP} deep: record a part of it and use the recorded series", expression=text
    )


def _selectors(expression: Expression) -> Iterator[InstantSelector | RangeSelector]:
    open_nodes: list[object] = [expression]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, InstantSelector | RangeSelector):
            yield node
        elif isinstance(node, tuple | list):
            open_nodes += node
        elif isinstance(node, ScalarExpression | VectorExpression):
            open_nodes += [getattr(node, field.name) for field in fields(node) if field.init]  # type: ignore[arg-type]  # all are dataclasses


def _depth(expression: Expression) -> int:
    deepest, open_nodes = 0, [(expression, 1)]
    while open_nodes:
        node, depth = open_nodes.pop()
        deepest = max(deepest, depth)
        open_nodes += [(part, depth + 1) for part in _parts(node)]
    return deepest


def _parts(node: Expression) -> Iterator[Expression]:
    for name in (field.name for field in fields(node) if field.init):  # type: ignore[arg-type]  # all are dataclasses
        value = getattr(node, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ScalarExpression | VectorExpression):
                yield part
