"""A generator behind a circuit breaker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from opentelemetry.metrics import Meter

from contracts.queries import GenerationParameters, RetrievedPassage, Turn
from contracts.runtime_config import RuntimeConfig
from messaging.breaker import Breaker
from workers.generate.base import Answer, AnsweringEndpoints, Generator, GeneratorIdentity, Piece, Prompt

PROBE = Prompt(
    query="What do bees make?",
    passages=(
        RetrievedPassage(
            chunk_id="probe",
            document_id="probe",
            generation="probe",
            name="bees.txt",
            ordinal=0,
            text="Bees make honey.",
            score=1.0,
            start=0,
            end=16,
        ),
    ),
    parameters=GenerationParameters(max_tokens=8),
    encoder_serves_query=False,
)


class GuardedGenerator:
    """A `Generator` that also raises `BackendAwayError` while its backend is away."""

    def __init__(self, generator: Generator, breaker: Breaker) -> None:
        self._generator = generator
        self._breaker = breaker

    @property
    def identity(self) -> GeneratorIdentity:
        return self._generator.identity

    @property
    def endpoints(self) -> AnsweringEndpoints | None:
        return self._generator.endpoints

    def adjust(self, config: RuntimeConfig) -> None:
        self._generator.adjust(config)

    async def start(self, meter: Meter) -> None:
        await self._generator.start(meter)

    async def run(self) -> None:
        await self._generator.run()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
        async with self._breaker, aclosing(self._generator.generate(prompt)) as items:
            async for item in items:
                yield item

    async def condense(self, query: str, turns: Sequence[Turn]) -> str | None:
        async with self._breaker:
            return await self._generator.condense(query, turns)

    async def look(self) -> None:
        await self._generator.look()

    async def probe(self) -> None:
        """Have an answer of eight tokens generated. Raises what `generate` raises; a refusal of so few is an answer."""
        async with aclosing(self._generator.generate(PROBE)) as items:
            async for _ in items:
                pass

    async def close(self) -> None:
        await self._generator.close()
