"""The probe of a generator is a real answer, and a small one."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from messaging.breaker import Breaker
from workers.generate.base import Answer, Piece, Prompt
from workers.generate.extractive import ExtractiveGenerator
from workers.generate.guarded import GuardedGenerator


class Listening(ExtractiveGenerator):
    """Remembers what it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Piece | Answer] = []

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
        async for item in super().generate(prompt):
            self.said.append(item)
            yield item


async def nothing() -> None:
    return


async def test_it_is_answered_in_eight_tokens_at_most() -> None:
    generator = Listening()
    await GuardedGenerator(generator, Breaker("generator", nothing)).probe()
    answer = generator.said[-1]
    assert isinstance(answer, Answer)
    assert answer.answered
    assert 0 < answer.usage.completion_tokens <= 8
