"""Vectors of texts that are in no document: as the index would hold them, or as questions are searched for."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from contracts.errors import Code
from contracts.identifiers import DEFAULT_TENANT, Token
from contracts.message import Message, Value

MAX_TEXTS = 16
MAX_CHARACTERS = 32_768
"""Of one text, and of all texts of a request: even where each takes six bytes in JSON a request fits into a message."""

EncodedText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]


class TextKind(StrEnum):
    """As what a text is encoded; many encoders are trained to put passages near the questions that they answer."""

    PASSAGES = "passages"
    QUESTIONS = "questions"


class EncodeCode(StrEnum):
    """Why there are no vectors."""

    BUSY = "busy"
    """The worker has as many requests in hand as it takes at once."""
    LEAVING = "leaving"
    """The worker ends."""
    BAD_TEXT = "bad_text"
    OTHER_MODEL = "other_model"
    """Than was asked for."""
    OTHER_DIMENSION = "other_dimension"
    LATE = "deadline_exceeded"
    INVALID = "invalid_message"
    FAILED = "encoding_failed"


class EncodeRequest(Message):
    """Ask for the vectors of some texts. One retrieve worker answers to the reply subject."""

    tenant: Token = DEFAULT_TENANT
    texts: tuple[EncodedText, ...] = Field(min_length=1, max_length=MAX_TEXTS)
    kind: TextKind = TextKind.PASSAGES
    model: str | None = Field(default=None, min_length=1, max_length=256)
    """The encoder that is wanted, if not just any; another one refuses, before it encodes anything."""
    dimension: int | None = Field(default=None, ge=1)
    """The length of vectors that is wanted, likewise."""
    timeout_s: float = Field(gt=0)
    """So long the answer is waited for; after it nobody needs it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if sum(map(len, self.texts)) > MAX_CHARACTERS:
            raise ValueError(f"the texts may have {MAX_CHARACTERS} characters together: ask for fewer at a time")
        return self


class EncodeFailure(Value):
    """Why there are no vectors; `retryable`: whether there may be when the same is asked for again."""

    code: Code
    """An `EncodeCode`, or one that a newer release knows."""
    message: str
    retryable: bool
    position: int | None = Field(default=None, ge=0)
    """Which of the texts is at fault, counted from 0."""


class EncodeReply(Message):
    """The vectors of the first of the texts, in their order: as many as fit into one message and into the time, at least one. Or
    a failure.
    """

    model: str | None = None
    dimension: int | None = Field(default=None, ge=1)
    vectors: tuple[str, ...] = Field(default=(), max_length=MAX_TEXTS)
    """Each is `dimension` little-endian float32 numbers, L2-normalised, in base64."""
    tokens: int | None = Field(default=None, ge=0)
    """How many tokens the model has read; None where it does not say."""
    failure: EncodeFailure | None = None
