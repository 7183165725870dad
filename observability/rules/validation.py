"""Documents as pydantic models, with every fault at its line."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from observability.promql.durations import milliseconds
from observability.rules.document import Document
from observability.rules.errors import RuleFileError

DurationMs = Annotated[int, BeforeValidator(lambda value: milliseconds(value) if isinstance(value, str) else value)]
"""Written like 5m, held in milliseconds."""

_REASONS: Final = {
    "extra_forbidden": "unknown field {field}",
    "missing": "field {field} is missing",
    "list_type": "{field} has to be a list",
    "tuple_type": "{field} has to be a list",
    "dict_type": "{field} has to be a mapping",
    "string_type": "{field} has to be text",
    "model_type": "{field} has to be a mapping",
}


class StrictModel(BaseModel):
    """Refuses unknown fields; never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Model = TypeVar("Model", bound=StrictModel)


def validated(document: Document, model: type[Model]) -> Model:
    """Raises `RuleFileError` with all faults that there are."""
    try:
        return model.model_validate(document.content)
    except ValidationError as error:
        faults = [
            document.fault(fault["loc"], _reason(fault["type"], fault["loc"], fault["msg"])) for fault in error.errors()
        ]
        raise RuleFileError(faults) from error


def _reason(kind: str, place: tuple[str | int, ...], message: str) -> str:
    named = [part for part in place if isinstance(part, str)]
    field = (
        str(place[-1]) if place and isinstance(place[-1], str) else f"an item of {named[-1] if named else 'the file'}"
    )
    if kind in _REASONS:
        return _REASONS[kind].format(field=field)
    return f"{field}: {message.removeprefix('Value error, ')}"
