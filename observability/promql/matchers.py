"""Which series are meant: matchers on labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.silences import MatchOperator
from observability.promql.errors import ExpressionError
from observability.promql.labels import METRIC_NAME, Labels
from observability.regular_expressions import Regex, compiled


def anchored(pattern: str) -> Regex:
    """Compile `pattern` as Prometheus does: RE2, matching whole values, `.` matching line ends.

    Raises `ExpressionError` when it is not valid.
    """
    try:
        return compiled(f"(?s:{pattern})")
    except ValueError as error:
        raise ExpressionError(f"invalid regular expression {pattern!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A label that a series lacks counts as empty."""

    operator: MatchOperator
    name: str
    value: str
    _regex: Regex | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_regex = self.operator in {MatchOperator.REGEX, MatchOperator.NOT_REGEX}
        object.__setattr__(self, "_regex", anchored(self.value) if is_regex else None)

    def accepts(self, value: str) -> bool:
        if self._regex is None:
            return (value == self.value) == (self.operator is MatchOperator.EQUAL)
        return (self._regex.fullmatch(value) is not None) == (self.operator is MatchOperator.REGEX)

    def __str__(self) -> str:
        return f'{self.name}{self.operator}"{self.value}"'


@dataclass(frozen=True, slots=True)
class Selector:
    """All conditions that a series has to meet. Hashable, so that what was selected can be kept."""

    matchers: tuple[Matcher, ...]

    @property
    def metric_name(self) -> str | None:
        """The one metric that is asked for; None where it may be several."""
        for matcher in self.matchers:
            if matcher.name == METRIC_NAME and matcher.operator is MatchOperator.EQUAL:
                return matcher.value
        return None

    def accepts(self, labels: Labels) -> bool:
        return all(matcher.accepts(labels.get(matcher.name, "")) for matcher in self.matchers)

    def rows(self, candidates: Sequence[Labels]) -> list[int]:
        """The numbers of those in `candidates` that are meant."""
        return [row for row, labels in enumerate(candidates) if self.accepts(labels)]
