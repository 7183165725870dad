"""Which contract changes need a version raise.

Unknown fields are refused, so during a rolling upgrade an old worker cannot read a message with a new field, and a new
worker may miss a field that an old one left out: between releases that share a version the shape must stay the same.
Only annotations (titles, descriptions, defaults, examples) may change freely.
"""

from __future__ import annotations

from typing import Any

from contracts.message import Message

Json = dict[str, Any]

_ANNOTATIONS = frozenset({"title", "description", "default", "examples"})


def shape(message: type[Message]) -> Json:
    """The JSON schema of a message without annotations."""
    stripped = _strip(message.model_json_schema())
    assert isinstance(stripped, dict)
    return stripped


def differences(released: Json, current: Json, path: str = "") -> list[str]:
    """Where two shapes differ, as dotted paths with what was there and what is there now."""
    found: list[str] = []
    for key in sorted(released.keys() | current.keys()):
        place = f"{path}.{key}".lstrip(".")
        before, after = released.get(key), current.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, place)
        elif before != after:
            found.append(f"{place}: {before!r} → {after!r}")
    return found


def _strip(schema: Any, *, names: bool = False) -> Any:
    """`names`: the keys of this mapping are names of fields or definitions, not schema keywords."""
    if isinstance(schema, list):
        return [_strip(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _strip(value, names=not names and key in {"properties", "$defs"})
        for key, value in schema.items()
        if names or key not in _ANNOTATIONS
    }
