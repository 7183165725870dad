"""Conditions on metadata as they are written on the command line: `year>=2020`, `lang=en|de`, `path^=docs/`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cli.exits import CommandError, Exit
from contracts.comparisons import instant, number

Json = dict[str, Any]

_WRITTEN = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*([=^<>]+)\s*(.*?)\s*", re.DOTALL)
_FIELDS = {"=": "any_of", "^=": "prefix", ">=": "gte", ">": "gt", "<=": "lte", "<": "lt"}


def metadata_filters(filters: Sequence[str], *, literal: Sequence[str]) -> Json:
    """All options as `filters.metadata` of a question.

    `literal` ones are KEY=VALUE with the value as it stands. A key that is given several values may have any of them;
    all else that is said of it has to hold. Raises `CommandError` naming the option that cannot be read.
    """
    metadata = dict[str, Json]()
    for option in filters:
        key, field, value = _read(option)
        _add(metadata.setdefault(key, {}), option, field, value)
    for option in literal:
        key, separator, value = option.partition("=")
        if not separator:
            raise CommandError(f"{option!r} is not KEY=VALUE, for example topic=bees", code=Exit.USAGE)
        _add(metadata.setdefault(key, {}), option, "any_of", [value])
    return {key: _shortest(condition) for key, condition in metadata.items()}


def _read(option: str) -> tuple[str, str, Any]:
    written = _WRITTEN.fullmatch(option)
    key, operator, text = written.groups() if written else ("", "", "")
    if operator not in _FIELDS:
        raise CommandError(
            f"{option!r} is not a filter, for example 'lang=en|de', 'path^=docs/', 'year>=2020' or 'date<2024-05-01'",
            hint="A value that begins with =, ^, < or > goes into --where KEY=VALUE, which takes it as it stands.",
            code=Exit.USAGE,
        )
    field = _FIELDS[operator]
    if field == "any_of":
        return key, field, [value.strip() for value in text.split("|")]
    return key, field, text if field == "prefix" else _bound(option, text)


def _bound(option: str, text: str) -> float | str:
    found = number(text)
    if found is not None:
        return found
    if instant(text) is None:
        raise CommandError(
            f"{option!r} compares with neither a number nor a date, for example 'year>=2020' or 'date<2024-05-01T12:00'",
            code=Exit.USAGE,
        )
    return text


def _shortest(condition: Json) -> Json | list[str]:
    """Only values: their list, which gateways of every release take."""
    values: list[str] | None = condition.get("any_of") if len(condition) == 1 else None
    return condition if values is None else values


def _add(condition: Json, option: str, field: str, value: Any) -> None:
    if field == "any_of":
        condition[field] = [*condition.get(field, []), *value]
    elif field in condition:
        raise CommandError(f"{option!r} says again what another filter says of this key", code=Exit.USAGE)
    else:
        condition[field] = value
