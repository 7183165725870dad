"""What can be wrong with an expression.

WaggleError
└── PromQLError              has `expression`: the text it is about
    ├── ExpressionError      cannot be used at all: not PromQL, or ill-typed
    │   └── UnsupportedError PromQL, but outside the subset; `construct` names what
    └── EvaluationError      cannot be evaluated on this data, as Prometheus could not
        └── SampleLimitError it would read more samples than are allowed
"""

from __future__ import annotations

from contracts.errors import WaggleError


class PromQLError(WaggleError):
    """Base of all errors of expressions. Nothing was changed."""

    def __init__(self, message: str, *, expression: str = "") -> None:
        super().__init__(message)
        self.expression = expression


class ExpressionError(PromQLError):
    """The text is not a valid expression: it is refused when it is parsed."""


class UnsupportedError(ExpressionError):
    """Valid PromQL outside the subset that is evaluated here (docs/rules.md)."""

    def __init__(self, construct: str, *, expression: str = "") -> None:
        super().__init__(
            f"{construct} is outside the PromQL subset that Waggle evaluates: see docs/rules.md for what to use instead",
            expression=expression,
        )
        self.construct = construct


class EvaluationError(PromQLError):
    """The expression is fine, the data at this moment is not: duplicate series after a name was dropped, many-to-many
    matches. The next evaluation may succeed.
    """


class SampleLimitError(EvaluationError):
    """The expression reads more samples than are allowed; so nothing came of it."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "query processing would load too many samples into memory in query execution: "
            f"more than {most}; select fewer series, a shorter time or a longer step"
        )
