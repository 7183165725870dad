"""Reading the policy file: whole, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from observability.notifications.configuration.located_yaml import (
    Located,
    UnreadableFileError,
    YamlProblem,
    read_yaml,
    text_of,
)
from observability.recovery.errors import PolicyError
from observability.recovery.policy import Policy

MOST_PROBLEMS: Final = 20


def load_policy(file: Path) -> Policy:
    """Read the file. Raises `PolicyError` with a line for each thing that is wrong, `file:line: place: reason`."""
    try:
        text = text_of(file)
    except UnreadableFileError as error:
        raise PolicyError([str(error)]) from error
    return parse_policy(text, name=str(file))


def parse_policy(text: str, *, name: str = "policy.yaml") -> Policy:
    """As `load_policy`, of a text. `name` is what the file is called in what is said of it."""
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise PolicyError([f"{name}:{problem.line}: {problem.reason}"]) from problem
    if not isinstance(located.value, dict):
        raise PolicyError([f"{name}:1: is no mapping with `limits` and `ladders`"])
    try:
        return Policy.model_validate(located.value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
        in_order = sorted(found, key=lambda detail: located.line_of(_place(detail)))
        raise PolicyError([_said(name, located, detail) for detail in in_order]) from error


def _said(name: str, located: Located, detail: ErrorDetails) -> str:
    place = _place(detail)
    reason = detail["msg"].removeprefix("Value error, ")
    path = ".".join(map(str, place))
    return f"{name}:{located.line_of(place)}: {path + ': ' if path else ''}{reason}"


def _place(detail: ErrorDetails) -> list[str | int]:
    """Without the step that pydantic adds where a key is wrong: the text does not have it."""
    return [step for step in detail["loc"] if step != "[key]"]
