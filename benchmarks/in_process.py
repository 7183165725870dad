"""The baseline of a query: the same encoder, index, ranking and generator, called in one process without a broker."""

from __future__ import annotations

from pathlib import Path

from contracts.identifiers import DEFAULT_TENANT
from contracts.queries import Filters, GenerationParameters, SearchMode
from contracts.settings import GenerateSettings, RetrieveSettings
from workers.encoding.factory import build_embedder
from workers.generate.base import Answer, Prompt
from workers.generate.factory import build_generator
from workers.indexing.factory import build_index
from workers.retrieve.questions import QuestionEncoder
from workers.retrieve.ranking import rank
from workers.retrieve.searcher import LEAST_REACH, SERVED
from workers.text.scripts import served_share

TOP_K = 5
"""As the gateway has it by default."""


class InProcess:
    """The plain program: encode, search, rank, generate, one after the other. It looks at no ledger.

    Use `start` before and `stop` after.
    """

    def __init__(self, *, index_path: Path) -> None:
        self._settings = RetrieveSettings(index_path=index_path)
        self._encoder = QuestionEncoder(lambda: build_embedder(self._settings))
        self._generator = build_generator(GenerateSettings())

    async def start(self) -> None:
        embedder = await self._encoder.start()
        self._index = build_index(self._settings, embedder.identity)
        await self._index.open()
        self._scripts = embedder.scripts

    async def stop(self) -> None:
        await self._encoder.stop()
        await self._index.close()

    async def ask(self, question: str, *, generate: bool = True) -> Answer | None:
        """Search, and answer if asked to."""
        served = served_share(question, self._scripts)
        vector = await self._encoder.encode(question) if served else None
        candidates = await self._index.search(
            DEFAULT_TENANT, text=question, vector=vector, limit=LEAST_REACH, filters=Filters()
        )
        passages = rank(
            question,
            vector,
            candidates,
            mode=SearchMode.HYBRID,
            served=served,
            method=self._settings.fusion,
            top_k=TOP_K,
        )
        if not generate:
            return None
        prompt = Prompt(
            query=question,
            passages=tuple(passages),
            parameters=GenerationParameters(),
            encoder_serves_query=served >= SERVED,
        )
        answer = None
        async for item in self._generator.generate(prompt):
            answer = item if isinstance(item, Answer) else answer
        return answer
