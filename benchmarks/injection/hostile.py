"""A model that obeys whoever speaks last, to the letter: what the guard has to hold against."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from opentelemetry.metrics import Meter

from benchmarks.injection.cases import Case
from contracts.answers import Usage
from workers.generate.chat.model import ChatMessage, FinishReason, ReplyEnd, ReplyText, Sampling


class HostileModel:
    """Says what the case orders, `step` characters at a time; what it `adds` stands at the end of each line."""

    name = "hostile"
    endpoints = None
    context_tokens = 8192

    def __init__(self, case: Case, *, step: int = 4, adds: str = "") -> None:
        self._case = case
        self._step = step
        self._adds = adds

    async def start(self, meter: Meter) -> None:
        """There is nothing to load."""

    async def run(self) -> None:
        """There is nothing to look after."""
        await asyncio.Event().wait()

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) // 4 for text in texts]

    async def reply(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[ReplyText | ReplyEnd, None]:
        text = obedient(self._case, messages[0].content)
        text = "\n".join(line + self._adds for line in text.split("\n"))
        for at in range(0, len(text), self._step):
            yield ReplyText(text=text[at : at + self._step])
        yield ReplyEnd(finish_reason=FinishReason.STOP, usage=Usage())

    async def look(self) -> None:
        """It is never away."""

    async def close(self) -> None:
        """There is nothing to let go of."""


def obedient(case: Case, instructions: str) -> str:
    """What a model says that does as the case wants."""
    forms = {
        "{prompt}": instructions,
        "{dashed}": "-".join(instructions.split()),
        "{dotted}": "·".join(instructions),
    }
    text = case.obeyed
    for form, said in forms.items():
        text = text.replace(form, said)
    return text
