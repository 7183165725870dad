"""Secrets are named, never written down: an environment variable or a file holds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from observability.notifications.errors import SecretMissingError

MAX_BYTES = 64 * 1024


class SecretReference(BaseModel):
    """Where a secret is. It is read at each use, so that one that was changed is used at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    file: Path | None = None

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("names either env or file")
        return self

    def read(self) -> str:
        """The secret without white space around it. Raises `SecretMissingError` when there is none."""
        text = (os.environ.get(self.env, "") if self.env is not None else self._content()).strip()
        if not text:
            raise SecretMissingError(f"there is no secret in {self}")
        return text

    def _content(self) -> str:
        assert self.file is not None
        try:
            with self.file.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise SecretMissingError(f"{self} cannot be read: {error.strerror}") from error
        if len(content) > MAX_BYTES:
            raise SecretMissingError(f"{self} is larger than {MAX_BYTES} bytes: that is no secret")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise SecretMissingError(f"{self} is not text in UTF-8") from error

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env is not None else f"the file {self.file}"


def _no_inline_secret(value: Any) -> Any:
    if isinstance(value, str | bytes | int | float):
        # The value is not quoted: it may be the secret.
        raise ValueError("a secret is not written into this file: give {env: NAME} or {file: /path}")  # noqa: TRY004
    return value


Secret = Annotated[SecretReference, BeforeValidator(_no_inline_secret)]
