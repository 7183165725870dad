"""Selectors: what is read from the source, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contracts.silences import MatchOperator
from observability.promql.expressions import Moment, VectorExpression
from observability.promql.labels import METADATA, Labels
from observability.promql.matchers import Selector
from observability.promql.source import Windows
from observability.promql.vector import Vector


class Edge(StrEnum):
    """An end of the query's range."""

    START = "start()"
    END = "end()"


@dataclass(frozen=True, slots=True)
class Shift:
    """`offset` and `@`: which time is looked at, seen from the time of evaluation."""

    offset_ms: int = 0
    at: int | Edge | None = None
    """Milliseconds, or an end of the query's range; None is the time of evaluation."""

    def applied(self, moment: Moment) -> int:
        return self.shifted(moment.time_ms, start_ms=moment.start_ms, end_ms=moment.end_ms)

    def shifted(self, time_ms: int, *, start_ms: int, end_ms: int) -> int:
        """What an evaluation at `time_ms`, of a query from start to end, looks at."""
        fixed = {Edge.START: start_ms, Edge.END: end_ms}
        base = fixed[self.at] if isinstance(self.at, Edge) else time_ms if self.at is None else self.at
        return base - self.offset_ms


@dataclass(frozen=True, slots=True)
class InstantSelector(VectorExpression):
    """The present values of series."""

    selector: Selector
    shift: Shift = Shift()

    def vector(self, moment: Moment) -> Vector:
        at_ms = self.shift.applied(moment)
        return moment.source.latest(self.selector, at_ms=at_ms, lookback_ms=moment.lookback_ms)


@dataclass(frozen=True, slots=True)
class RangeSelector:
    """The samples of series in the range (t - range, t]: left-open, as since Prometheus 3."""

    selector: Selector
    range_ms: int
    shift: Shift = Shift()

    def until(self, moment: Moment) -> int:
        """The end of the range, included."""
        return self.shift.applied(moment)

    def windows(self, moment: Moment) -> Windows:
        until_ms = self.until(moment)
        return moment.source.window(self.selector, after_ms=until_ms - self.range_ms, until_ms=until_ms)


def asserted_labels(selector: Selector) -> Labels:
    """What is known of a series that is absent: labels that are asked for once, and by equality."""
    known: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in selector.matchers:
        if matcher.name in METADATA:
            continue
        if matcher.operator is MatchOperator.EQUAL and matcher.name not in seen:
            known[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            known.pop(matcher.name, None)
    return Labels(known)
