"""The base of everything that travels, and how bytes become a message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import ClassVar, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from contracts.errors import InvalidMessageError, NewerSchemaError
from contracts.identifiers import ANONYMOUS


def utc_now() -> datetime:
    return datetime.now(UTC)


class Value(BaseModel):
    """An immutable part of a message; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Message(Value):
    """An immutable message with its schema version, its time and who caused it.

    `VERSION` is raised by one whenever the shape changes; a subclass that raises it redeclares `schema_version` with
    the new default. A message that arrives without a version is taken to be of that default.
    """

    VERSION: ClassVar[int] = 1

    schema_version: int = Field(default=1, ge=1)
    created_at: AwareDatetime = Field(default_factory=utc_now)
    principal: str = Field(default=ANONYMOUS, min_length=1, max_length=256)

    @field_validator("schema_version", mode="after")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version > cls.VERSION:
            raise ValueError(f"schema version {version} is newer than {cls.VERSION}")
        return version

    def to_bytes(self) -> bytes:
        """UTF-8 JSON, as it travels."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a message.

        Raises `NewerSchemaError` when a newer release wrote it (nothing else about it is judged), and
        `InvalidMessageError` naming the first offending fields otherwise. The values themselves are not quoted.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            version = _claimed_version(data)
            if version is not None and version > cls.VERSION:
                raise NewerSchemaError(
                    f"{cls.__name__} has schema version {version}, this release knows up to {cls.VERSION}: "
                    "upgrade this worker, or wait for one that knows it"
                ) from error
            raise InvalidMessageError(f"not a {cls.__name__}: {_summary(error)}") from error


def _claimed_version(data: bytes) -> int | None:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    version = body.get("schema_version") if isinstance(body, dict) else None
    return version if isinstance(version, int) else None


def _summary(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)[:3]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['msg']}" for p in problems)
