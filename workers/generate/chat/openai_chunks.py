"""What an OpenAI-compatible chat endpoint is sent, and sends back piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, JsonValue

from contracts.answers import Usage
from workers.endpoints.field_rules import FieldRules
from workers.generate.chat.model import ChatMessage, FinishReason, Sampling

_USAGE = "stream_options"
"""Asks for the usage at the end of a stream. Older servers refuse it, some without a word about it."""
FIELD_RULES = FieldRules(
    renamed={"max_tokens": "max_completion_tokens"},
    optional=frozenset({"temperature", "stop", "seed"}),
    suspected=frozenset({_USAGE}),
)
"""Models that think before they answer have another name for `max_tokens`, and often a temperature of their own."""

_FINISH_REASONS = {"length": FinishReason.LENGTH, "content_filter": FinishReason.FILTERED}
_BROKEN_OFF = frozenset({"abort", "error"})


class _Delta(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(BaseModel):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0


class Chunk(BaseModel):
    """One event of a streamed reply, as far as it matters here."""

    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or "" for choice in self.choices)

    @property
    def begins(self) -> bool:
        """Whether the model has written something, be it only thoughts that are not shown."""
        deltas = [choice.delta for choice in self.choices]
        return any(delta.content or delta.reasoning_content or delta.reasoning for delta in deltas)

    @property
    def ends(self) -> bool:
        return any(choice.finish_reason for choice in self.choices)

    @property
    def broken_off(self) -> bool:
        """Whether the server gave the reply up, as vLLM does when it is shut down."""
        return any(choice.finish_reason in _BROKEN_OFF for choice in self.choices)

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the reply ended; whatever else servers have names for is a stop."""
        reason = next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)
        return _FINISH_REASONS.get(reason, FinishReason.STOP) if reason else None

    @property
    def counted(self) -> Usage | None:
        if self.usage is None:
            return None
        return Usage(prompt_tokens=self.usage.prompt_tokens, completion_tokens=self.usage.completion_tokens or 0)


def request_body(model: str, messages: Sequence[ChatMessage], sampling: Sampling) -> dict[str, JsonValue]:
    """The body of a request for a streamed reply. What `sampling` leaves open is not sent."""
    body: dict[str, JsonValue] = {
        "model": model,
        "messages": [{"role": message.role.value, "content": message.content} for message in messages],
        "max_tokens": sampling.max_tokens,
        "stream": True,
        _USAGE: {"include_usage": True},
    }
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    return body
