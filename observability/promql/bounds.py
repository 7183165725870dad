"""How large an expression may be, checked on its text.

The parser holds the interpreter's lock, and its time grows with the square of the operators that are chained or nested:
8 KiB of `-` kept every other thread from running for 20 s. So nothing is parsed that could take long.
"""

from __future__ import annotations

import re
from typing import Final

from observability.promql.errors import ExpressionError

MOST_CHARACTERS: Final = 8_192
"""Of one expression."""
MOST_OPERATORS: Final = 250
"""Of one expression, with its opening parentheses: parsed in a tenth of a second."""

_LITERAL: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`|#[^\n]*|\b\d+(?:\.\d*)?[eE][-+]?\d+', re.DOTALL
)
_OPERATOR: Final = re.compile(r"[-+*/%^<>(]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def check_bounds(text: str) -> None:
    """Raises `ExpressionError` for a text that is too long, or has too many operators."""
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(f"an expression of {len(text)} characters: at most {MOST_CHARACTERS} are taken")
    operators = sum(1 for _ in _OPERATOR.finditer(_LITERAL.sub('""', text)))
    if operators > MOST_OPERATORS:
        raise ExpressionError(
            f"an expression of {operators} operators and parentheses, at most {MOST_OPERATORS} are taken: "
            "record a part of it and use the recorded series",
            expression=text,
        )
