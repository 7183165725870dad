"""Go's `printf`, as far as templates of rules need it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from observability.rules.numbers import shortest, unbounded

_VERB: Final = re.compile(r"%(?P<flags>[-+ 0]*)(?P<width>[0-9]*)(?:\.(?P<precision>[0-9]*))?(?P<verb>.?)", re.DOTALL)
FLOAT_VERBS: Final = "feg"
TEXT_VERBS: Final = "sv"
WIDEST: Final = 1_000


class Format:
    """A checked format with one verb for each argument: `%f`, `%e`, `%g` for numbers, `%s` for text, `%v` for both.

    Raises `ValueError` for other verbs, such as `%d`: values of alerts are never whole numbers in Go's eyes.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.verbs: list[str] = []
        for match in _VERB.finditer(text):
            verb = match["verb"]
            if verb == "%" and match[0] == "%%":
                continue
            if not verb or verb not in FLOAT_VERBS + TEXT_VERBS:
                raise ValueError(
                    f"the verb {match[0]} of printf is not taken: use %f, %e, %g, %s or %v (%.0f for whole)"
                )
            if int(match["width"] or 0) > WIDEST or int(match["precision"] or 0) > WIDEST:
                raise ValueError(f"{match[0]} of printf is wider than {WIDEST}")
            self.verbs.append(verb)

    def fill(self, arguments: Sequence[float | str]) -> str:
        remaining = iter(arguments)
        return _VERB.sub(lambda match: "%" if match[0] == "%%" else _filled(match, next(remaining)), self._text)


def _filled(match: re.Match[str], value: float | str) -> str:
    flags, width, precision = match["flags"], match["width"], match["precision"]
    align = "<" if "-" in flags else ">"
    if isinstance(value, str):
        shown = value if precision is None else value[: int(precision or 0)]
        return f"{shown:{align}{width}}"
    digits = "" if precision is None else f".{precision or 0}"
    return _number(value, flags, width, digits, "g" if match["verb"] == "v" else match["verb"])


def _number(value: float, flags: str, width: str, digits: str, verb: str) -> str:
    align = "<" if "-" in flags else ">"
    sign = "+" if "+" in flags else " " if " " in flags else ""
    if not math.isfinite(value):
        shown = unbounded(value)
        return f"{f'{sign}NaN' if math.isnan(value) else shown:{align}{width}}"
    if verb == "g" and not digits:
        shown = shortest(value)
        return f"{shown if shown.startswith('-') else sign + shown:{align}{width}}"
    fill = "0" if "0" in flags and "-" not in flags else ""
    return f"{value:{'<' if '-' in flags else ''}{sign}{fill}{width}{digits}{verb}}"
