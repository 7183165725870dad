"""A generator behind a circuit breaker."""

from __future__ import annotations

from collections.abc import AsyncIterator

from messaging.breaker import Breaker
from workers.generate.base import Answer, Generator, Piece, Prompt


class GuardedGenerator:
    """A `Generator` that also raises `BackendAwayError` while its backend is away."""

    def __init__(self, generator: Generator, breaker: Breaker) -> None:
        self._generator = generator
        self._breaker = breaker

    async def generate(self, prompt: Prompt) -> AsyncIterator[Piece | Answer]:
        async with self._breaker:
            async for item in self._generator.generate(prompt):
                yield item

    async def look(self) -> None:
        await self._generator.look()
