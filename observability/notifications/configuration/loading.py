"""Reading the file of routes and receivers: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from observability.notifications.configuration.located_yaml import (
    Located,
    UnreadableFileError,
    YamlProblem,
    read_yaml,
    text_of,
)
from observability.notifications.configuration.models import NotificationConfig
from observability.notifications.configuration.references import problems_of
from observability.notifications.errors import NotificationConfigError

MAX_PROBLEMS = 20


def load_config(file: Path) -> NotificationConfig:
    """Read the file. Raises `NotificationConfigError` with a line for each thing that is wrong, `file:line: place: reason`."""
    try:
        text = text_of(file)
    except UnreadableFileError as error:
        raise NotificationConfigError([str(error)]) from error
    return parse_config(text, name=str(file))


def parse_config(text: str, *, name: str = "notifications.yaml") -> NotificationConfig:
    """As `load_config`, of a text. `name` is what the file is called in what is said of it."""
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise NotificationConfigError([f"{name}:{problem.line}: {problem.reason}"]) from problem
    if not isinstance(located.value, dict):
        raise NotificationConfigError([f"{name}:1: is no mapping with `route`, `receivers` and `channels`"])
    try:
        config = NotificationConfig.model_validate(located.value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]
        raise NotificationConfigError(
            [_said(name, located, detail) for detail in found]
        ) from None  # it holds the input
    problems = [f"{name}:{located.line_of(place)}: {_path(place)}: {reason}" for place, reason in problems_of(config)]
    if problems:
        raise NotificationConfigError(problems[:MAX_PROBLEMS])
    return config


def _said(name: str, located: Located, detail: ErrorDetails) -> str:
    reason = detail["msg"].removeprefix("Value error, ")
    place = _path(detail["loc"])
    return f"{name}:{located.line_of(detail['loc'])}: {place + ': ' if place else ''}{reason}"


def _path(place: tuple[str | int, ...]) -> str:
    return ".".join(map(str, place))
