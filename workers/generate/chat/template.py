"""Prompt templates: files with a version that travels on every answer made with them."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from string import Template
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts.errors import PermanentError
from workers.text.scripts import Script

DEFAULT = Path(__file__).parent / "templates" / "default.toml"
NO_ANSWER = "NO_ANSWER"
"""What a model replies with when the passages hold no answer."""
DIGEST_CHARACTERS = 8


def _placing(*names: str) -> AfterValidator:
    """The text holds each of `$names` and no other."""

    def check(text: str) -> str:
        template = Template(text)
        if not template.is_valid():
            raise ValueError("a $ must begin a name, or be doubled")
        found = set(template.get_identifiers())
        if found != set(names):
            expected = ", ".join(f"${name}" for name in names) or "no names"
            raise ValueError(f"must hold {expected}, and holds {', '.join(f'${n}' for n in sorted(found)) or 'none'}")
        return text.strip()

    return AfterValidator(check)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(_Part):
    """The templates for questions of one kind of script."""

    system: Annotated[str, _placing()]
    passage: Annotated[str, _placing("number", "name", "text")]
    question: Annotated[str, _placing("passages", "question")]
    condense_system: Annotated[str, _placing()]
    condense_question: Annotated[str, _placing("conversation", "question")]


class _File(_Part):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    wordings: dict[Script, Wording] = Field(min_length=len(Script))


class PromptTemplate:
    """What a model is told, for each kind of script."""

    def __init__(self, *, version: str, wordings: dict[Script, Wording]) -> None:
        self.version = version
        self._wordings = wordings

    @classmethod
    def read(cls, path: Path | None = None) -> PromptTemplate:
        """The templates of a file, by default those of this release.

        Raises `PermanentError` naming the file and what is wrong with it.
        """
        path = path or DEFAULT
        try:
            data = path.read_bytes()
            content = tomllib.loads(data.decode())
            file = _File.model_validate({"name": content.pop("name", None), "wordings": content})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PermanentError(f"the prompt templates {path} (WAGGLE_PROMPT_FILE) cannot be read: {error}") from error
        except ValidationError as error:
            raise PermanentError(f"the prompt templates {path} (WAGGLE_PROMPT_FILE): {_first(error)}") from error
        return cls(
            version=f"{file.name}@{hashlib.sha256(data).hexdigest()[:DIGEST_CHARACTERS]}", wordings=dict(file.wordings)
        )

    def wording(self, script: Script) -> Wording:
        """The templates for questions in this kind of script."""
        return self._wordings[script]


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"] if part not in {"wordings", "[key]"})
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}"


def fill(template: str, **values: str) -> str:
    """Put values into a template. What a value holds is never taken for a name."""
    return Template(template).substitute(values)
