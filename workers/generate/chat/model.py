"""The edge to a language model that is talked to in messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from opentelemetry.metrics import Meter

from contracts.answers import Usage
from workers.generate.base import AnsweringEndpoints


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, kw_only=True)
class ChatMessage:
    """What one side says."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a reply is to be made. None leaves it to the model's own default."""

    max_tokens: int
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


class FinishReason(StrEnum):
    """Why a reply ended."""

    STOP = "stop"
    """The model had said what it had to say, or came upon a stop sequence."""
    LENGTH = "length"
    """`max_tokens`, or the end of what the model can hold."""
    FILTERED = "content_filter"


@dataclass(frozen=True, kw_only=True)
class ReplyText:
    """The next text of the reply, as it comes."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ReplyEnd:
    """How the reply ended. Always the last item."""

    finish_reason: FinishReason
    usage: Usage


class Capacity(Protocol):
    """What it takes to write a prompt that fits a model."""

    @property
    def name(self) -> str:
        """The model's name, as answers carry it."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens of conversation and reply together the model can hold."""
        ...

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each of `texts` is to the model, without any that mark the beginning or end of messages."""
        ...


class ChatModel(Capacity, Protocol):
    """Replies to a conversation.

    Errors: `TransientError` while the model is away or when a reply broke off; `PermanentError` when it refuses this
    conversation, however often it is asked. Closing the iterator of `reply` stops the model's work.
    """

    @property
    def endpoints(self) -> AnsweringEndpoints | None:
        """What its requests are spread over; None for a model in this process."""
        ...

    async def start(self, meter: Meter) -> None:
        """Get ready; may take minutes for a model that is loaded. Raises `PermanentError` for wrong settings."""
        ...

    async def run(self) -> None:
        """Look after what the model needs, until cancelled. Raises when this process cannot go on."""
        ...

    def reply(self, messages: Sequence[ChatMessage], sampling: Sampling) -> AsyncGenerator[ReplyText | ReplyEnd, None]:
        """The texts of the reply as they come, then one `ReplyEnd`."""
        ...

    async def look(self) -> None:
        """Do the least that `reply` needs; raises what `reply` raises while the model is away."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
