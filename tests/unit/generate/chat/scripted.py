"""A model that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from opentelemetry.metrics import Meter

from contracts.answers import Usage
from workers.generate.chat.model import ChatMessage, FinishReason, ReplyEnd, ReplyText, Sampling


class ScriptedModel:
    """Says `pieces` to everything; a word is a token. Remembers what it was asked, and whether it was stopped."""

    name = "scripted"
    endpoints = None

    def __init__(
        self,
        *pieces: str,
        context_tokens: int = 4096,
        finish_reason: FinishReason = FinishReason.STOP,
        error: Exception | None = None,
    ) -> None:
        self.context_tokens = context_tokens
        self.asked: list[tuple[tuple[ChatMessage, ...], Sampling]] = []
        self.said = 0
        self.closed = False
        self._pieces = pieces
        self._finish_reason = finish_reason
        self._error = error

    async def start(self, meter: Meter) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    async def reply(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[ReplyText | ReplyEnd, None]:
        self.asked.append((tuple(messages), sampling))
        for piece in self._pieces:
            self.said += 1
            yield ReplyText(text=piece)
        if self._error is not None:
            raise self._error
        yield ReplyEnd(finish_reason=self._finish_reason, usage=Usage(prompt_tokens=7, completion_tokens=self.said))

    async def look(self) -> None: ...

    async def close(self) -> None:
        self.closed = True
