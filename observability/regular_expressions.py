"""Regular expressions of RE2: linear in the text, so that neither a rule nor a silence can hang the observer."""

from __future__ import annotations

from typing import Protocol

import re2


class RegexMatch(Protocol):
    def group(self, group: int | str = 0) -> str | None: ...


class Regex(Protocol):
    """A compiled pattern."""

    def fullmatch(self, text: str) -> RegexMatch | None: ...


def compiled(pattern: str) -> Regex:
    """Raises `ValueError` with RE2's own words when the pattern is not valid."""
    options = re2.Options()
    options.log_errors = False
    try:
        regex: Regex = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(said) from error
    return regex
