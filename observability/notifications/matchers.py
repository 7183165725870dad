"""Label matchers in Alertmanager's syntax: `severity="critical"`, `team=~"search|ranking"`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from contracts.silences import LabelMatcher, MatchOperator
from observability.regular_expressions import Regex, compiled

_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
_REGULAR = frozenset({MatchOperator.REGEX, MatchOperator.NOT_REGEX})
_NEGATIVE = frozenset({MatchOperator.NOT_EQUAL, MatchOperator.NOT_REGEX})


class Matchers:
    """Conditions that a label set meets all of, or not. A label that is not there counts as empty.

    Regular expressions are RE2's and match whole values: the time is linear in the text, so that nobody's silence can
    hang the observer. Raises `ValueError` when one is not valid.
    """

    def __init__(self, conditions: Iterable[LabelMatcher] = ()) -> None:
        self.conditions = tuple(conditions)
        self._compiled = tuple((condition, _compiled(condition)) for condition in self.conditions)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Matchers:
        """Read matchers as a file or a command line gives them."""
        return cls(parse_matcher(text) for text in texts)

    def accept(self, labels: Mapping[str, str]) -> bool:
        return all(_met(condition, regex, labels.get(condition.name, "")) for condition, regex in self._compiled)

    def accept_anything(self) -> bool:
        """Whether an alert without any of the labels named is meant, too."""
        return self.accept({})

    def __str__(self) -> str:
        return "{" + ",".join(sorted(map(str, self.conditions))) + "}"


def parse_matcher(text: str) -> LabelMatcher:
    """Read one; its value may be in double quotes, with Go's escapes. Raises `ValueError` that says what is wrong with it."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is not a matcher such as severity="critical" or team=~"a|b"')
    name, operator, value = found.groups()
    try:
        matcher = LabelMatcher(name=name, operator=MatchOperator(operator), value=_unquoted(value, text))
    except ValidationError as error:
        raise ValueError(f"{text!r} is not a matcher: {error.errors()[0]['msg']}") from error
    _compiled(matcher)
    return matcher


def _unquoted(value: str, text: str) -> str:
    if not value.startswith('"'):
        if '"' in value:
            raise ValueError(f"{text!r} has a quotation mark inside a value without quotes")
        return value
    found = _QUOTED.fullmatch(value)
    if found is None:
        raise ValueError(f"{text!r} has a value whose quotation marks do not match")
    return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), found[1], flags=re.DOTALL)


def _compiled(matcher: LabelMatcher) -> Regex | None:
    if matcher.operator not in _REGULAR:
        return None
    try:
        return compiled(matcher.value)
    except ValueError as error:
        raise ValueError(f"{matcher} is not a valid regular expression: {error}") from error


def _met(condition: LabelMatcher, regex: Regex | None, value: str) -> bool:
    same = value == condition.value if regex is None else regex.fullmatch(value) is not None
    return same != (condition.operator in _NEGATIVE)
