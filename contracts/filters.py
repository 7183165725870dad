"""What a search is restricted to: documents, and conditions on their metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from contracts.comparisons import INSTANT_PATTERN, in_utc, instant
from contracts.documents import MetadataKey, MetadataValue
from contracts.identifiers import Token
from contracts.message import Value

MAX_PREFIX = 64
"""Characters; so many of each value are kept to be found by."""
MAX_ALTERNATIVES = 1000

_EXAMPLE = 'for example {"gte": 2020, "lt": 2024}'


def _refused(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("filter", "{sentence}", {"sentence": sentence})


def _texts(given: object) -> object:
    if not isinstance(given, list | tuple) or not all(isinstance(value, str) for value in given):
        raise _refused('any_of is a list of strings, for example ["en", "de"]; numbers are compared by gte and lt')
    return given


def _prefix(given: object) -> object:
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_PREFIX:
        raise _refused(f'a prefix is a string of 1 to {MAX_PREFIX} characters, for example "docs/"')
    return given


def _bound(given: object) -> float | datetime:
    """A finite number, or an instant in UTC."""
    found = _comparable(given)
    if found is None:
        raise _refused(
            "a bound is a finite number without quotes, for example 2020 or -1.5, or an ISO 8601 date or date-time in "
            'quotes, for example "2024-05-01" or "2024-05-01T12:00:00+02:00"'
        )
    return found


def _comparable(given: object) -> float | datetime | None:
    if isinstance(given, str):
        return instant(given)
    try:
        if isinstance(given, datetime):
            return in_utc(given)
        if isinstance(given, int | float) and not isinstance(given, bool):
            return float(given) if math.isfinite(given) else None
    except OverflowError:  # beyond the largest double, or the calendar
        return None
    return None


Alternatives = Annotated[tuple[MetadataValue, ...], Field(max_length=MAX_ALTERNATIVES), BeforeValidator(_texts)]
Prefix = Annotated[MetadataValue, Field(min_length=1, max_length=MAX_PREFIX), BeforeValidator(_prefix)]
Bound = Annotated[
    float | datetime,
    BeforeValidator(_bound),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{INSTANT_PATTERN}$"}]}),
]


class Condition(Value):
    """What one metadata value must be; whatever is given must hold.

    A JSON string stands for `any_of` with this one value, a list of strings for `any_of` with these. An empty `any_of`
    matches nothing. Number bounds are met only by values that are a number as a whole, date bounds only by ISO 8601
    dates and date-times; a date alone is its midnight, and without an offset it is in UTC.
    """

    any_of: Alternatives | None = None
    prefix: Prefix | None = None
    gt: Bound | None = None
    gte: Bound | None = None
    lt: Bound | None = None
    lte: Bound | None = None

    @property
    def bounds(self) -> tuple[float | datetime, ...]:
        return tuple(bound for bound in (self.gt, self.gte, self.lt, self.lte) if bound is not None)

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, given: Any) -> Any:
        if isinstance(given, Condition):
            return given
        if isinstance(given, str):
            return {"any_of": (given,)}
        if isinstance(given, list | tuple):
            return {"any_of": given}
        if not isinstance(given, Mapping):
            raise _refused(f'a condition is a string, a list of strings or an object, {_EXAMPLE} or ["en", "de"]')
        unknown = sorted(set(map(str, given)) - set(cls.model_fields))
        if unknown:
            raise _refused(f"a condition has no {unknown[0][:64]!r}, only {', '.join(cls.model_fields)}, {_EXAMPLE}")
        return given

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.any_of is None and self.prefix is None and not self.bounds:
            raise _refused(f"a condition needs one of {', '.join(type(self).model_fields)}, {_EXAMPLE}")
        for strict, inclusive in (("gt", "gte"), ("lt", "lte")):
            if getattr(self, strict) is not None and getattr(self, inclusive) is not None:
                raise _refused(f"{strict} and {inclusive} exclude each other: give one of them, {_EXAMPLE}")
        if len({isinstance(bound, datetime) for bound in self.bounds}) > 1:
            raise _refused(f"the bounds are a number and a date: give two numbers or two dates, {_EXAMPLE}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Of what is read: the object and its two short forms."""
        schema = handler(core_schema)
        if handler.mode == "validation":
            named = handler.resolve_ref_schema(schema)
            written_out = dict(named)
            annotations = {key: written_out.pop(key) for key in ("title", "description")}
            several = next(form for form in written_out["properties"]["any_of"]["anyOf"] if form["type"] == "array")
            named.clear()
            named.update(annotations, anyOf=[several["items"], several, {**written_out, "minProperties": 1}])
        return schema


class Filters(Value):
    """Restricts a search. All given conditions must hold."""

    document_ids: tuple[Token, ...] = Field(default=(), max_length=100)
    metadata: dict[MetadataKey, Condition] = Field(default_factory=dict, max_length=16)


__all__ = ["MAX_PREFIX", "Bound", "Condition", "Filters"]
