"""Templates in labels and annotations of alerting rules: a small part of Go's, refused at load where it is more.

`{{ $labels.job }}`, `{{ $value }}`, `{{ $externalLabels.cluster }}`, `{{ $externalURL }}` (or `.Labels.job`, `.Value` and
so on), text in quotes, and pipelines of `humanize`, `humanize1024`, `humanizeDuration`, `humanizePercentage` and `printf`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from observability.rules.numbers import humanize, humanize1024, humanize_duration, humanize_percentage, shortest
from observability.rules.printing import FLOAT_VERBS, Format

MOST_CHARACTERS: Final = 65_536
"""Of a template."""
MOST_EXPANDED: Final = 8_192
"""Characters of what is made of one: thousands of alerts may have it, and no event takes more."""

Result = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertData:
    """What a template is filled with."""

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""


class _Term(Protocol):
    """A part of a template of which it is known beforehand whether it yields a number."""

    @property
    def is_number(self) -> bool: ...

    def result(self, data: AlertData) -> Result: ...


class TemplateError(ValueError):
    """The template holds something that is not taken: `args[0]` says what."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. Equal texts are equal templates."""

    text: str
    _parts: tuple[str | _Term, ...] = field(compare=False, repr=False)

    def expand(self, data: AlertData) -> str:
        """The text filled in, cut where it is too long; like Prometheus, an error is said in the text, since an alert without
        words beats none.
        """
        try:
            text = "".join(part if isinstance(part, str) else _printed(part.result(data)) for part in self._parts)
            return text[:MOST_EXPANDED]
        except ValueError as error:
            return f"<error expanding template: {error}>"


def parse(text: str) -> Template:
    """Raises `TemplateError`."""
    if len(text) > MOST_CHARACTERS:
        raise TemplateError(f"a template of {len(text)} characters: at most {MOST_CHARACTERS} are taken")
    parts: list[str | _Term] = []
    rest = text
    while "{{" in rest:
        before, _, rest = rest.partition("{{")
        action = _ACTION.match(rest)
        if action is None:
            raise TemplateError("a {{ without its }}")
        rest = rest[action.end() :]
        parts.append(before.rstrip() if action["trim_before"] else before)
        parts.append(_pipeline(action["inner"]))
        rest = rest.lstrip() if action["trim_after"] else rest
    return Template(text, (*parts, rest))


_ACTION: Final = re.compile(
    r"""(?P<trim_before>-(?=\s))?(?P<inner>(?:"(?:\\.|[^"\\\n])*"|`[^`]*`|(?!\s-\}\})(?!\}\})[^"`])*)(?P<trim_after>\s-)?\}\}"""
)
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)|(?P<pipe>\|)|(?P<operand>[$.][A-Za-z0-9_.]*)|(?P<name>[A-Za-z]\w*)|(?P<other>\S+))"""
)
_FIELDS: Final = {
    "$labels": "labels",
    ".Labels": "labels",
    "$externalLabels": "external",
    ".ExternalLabels": "external",
}
_NUMBERS: Final[Mapping[str, Callable[[float], str]]] = {
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
}
TAKEN: Final = f"$labels.NAME, $value, $externalLabels.NAME, $externalURL, text, {', '.join(_NUMBERS)} and printf"


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    is_number: bool = False

    def result(self, data: AlertData) -> Result:
        return self.text


@dataclass(frozen=True, slots=True)
class _Field:
    """A label; one that there is not is empty."""

    of: str
    name: str
    is_number: bool = False

    def result(self, data: AlertData) -> Result:
        return (data.labels if self.of == "labels" else data.external_labels).get(self.name, "")


@dataclass(frozen=True, slots=True)
class _Value:
    is_number: bool = True

    def result(self, data: AlertData) -> Result:
        return data.value


@dataclass(frozen=True, slots=True)
class _ExternalUrl:
    is_number: bool = False

    def result(self, data: AlertData) -> Result:
        return data.external_url


@dataclass(frozen=True, slots=True)
class _Humanized:
    name: str
    of: _Term
    is_number: bool = False

    def result(self, data: AlertData) -> Result:
        return _NUMBERS[self.name](float(self.of.result(data)))


@dataclass(frozen=True, slots=True)
class _Printed:
    format: Format
    of: tuple[_Term, ...]
    is_number: bool = False

    def result(self, data: AlertData) -> Result:
        return self.format.fill([term.result(data) for term in self.of])


def _printed(result: Result) -> str:
    return result if isinstance(result, str) else shortest(result)


def _pipeline(inner: str) -> _Term:
    commands: list[list[re.Match[str]]] = [[]]
    for token in _TOKEN.finditer(inner.strip()):
        if token["other"] is not None:
            raise TemplateError(f"{token['other']} in a template is not taken: only {TAKEN} are")
        if token["pipe"]:
            commands.append([])
        else:
            commands[-1].append(token)
    piped: _Term | None = None
    for words in commands:
        piped = _command(words, piped)
    if piped is None:
        raise TemplateError("an empty {{ }}")
    return piped


def _command(words: list[re.Match[str]], piped: _Term | None) -> _Term:
    if not words:
        raise TemplateError("an empty {{ }}, or nothing beside a |")
    first, *others = words
    arguments = [*(_operand(word) for word in others), *([] if piped is None else [piped])]
    if first["name"] is None:
        if arguments:
            raise TemplateError(f"{first[0].strip()} is no function, so nothing can be given to it")
        return _operand(first)
    return _function(first["name"], arguments)


def _function(name: str, arguments: list[_Term]) -> _Term:
    if name in _NUMBERS:
        if len(arguments) != 1:
            raise TemplateError(f"{name} takes one value")
        return _Humanized(name, arguments[0])
    if name != "printf":
        raise TemplateError(f"{name} in a template is not taken: only {TAKEN} are")
    if not arguments or not isinstance(arguments[0], _Text):
        raise TemplateError("printf needs its format as text")
    format_text, *values = arguments
    try:
        checked = Format(str(format_text.text if isinstance(format_text, _Text) else ""))
    except ValueError as error:
        raise TemplateError(str(error)) from error
    _check_types(checked, values)
    return _Printed(checked, tuple(values))


def _check_types(checked: Format, values: list[_Term]) -> None:
    if len(checked.verbs) != len(values):
        raise TemplateError(f"printf has {len(checked.verbs)} verbs for {len(values)} values")
    for verb, value in zip(checked.verbs, values, strict=True):
        if verb != "v" and (verb in FLOAT_VERBS) != value.is_number:
            raise TemplateError(f"%{verb} of printf is for {'numbers' if verb in FLOAT_VERBS else 'text'}: try %v")


def _operand(word: re.Match[str]) -> _Term:
    if word["text"] is not None:
        return _Text(_unquoted(word["text"]))
    name = word["operand"]
    if name in {"$value", ".Value"}:
        return _Value()
    if name in {"$externalURL", ".ExternalURL"}:
        return _ExternalUrl()
    root, _, label = (name or "").rpartition(".")
    if root in _FIELDS and label:
        return _Field(_FIELDS[root], label)
    raise TemplateError(f"{word[0].strip()} in a template is not taken: only {TAKEN} are")


def _unquoted(quoted: str) -> str:
    if quoted.startswith("`"):
        return quoted[1:-1]
    try:
        return str(json.loads(quoted))
    except ValueError as error:
        raise TemplateError(f"an escape in {quoted} is not taken") from error
