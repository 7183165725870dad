"""Times as parameters."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AwareDatetime, WithJsonSchema

FORMS: Final = "RFC 3339, or seconds since 1970."

Moment = Annotated[
    AwareDatetime,
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}),
]
"""A time in either form."""
