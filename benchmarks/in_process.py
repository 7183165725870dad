"""The baseline of a query: the same encoder, index, ranking and generator, called in one process without a broker."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.stack import RunningStack
from contracts.documents import DocumentRecord
from contracts.identifiers import DEFAULT_TENANT
from contracts.queries import GenerationParameters, QueryRequest
from contracts.settings import GenerateSettings, RetrieveSettings
from deploy.local.access import admin_of
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from workers.encoding.base import Vector
from workers.encoding.factory import build_embedder
from workers.generate.base import Answer, Prompt
from workers.generate.factory import build_generator
from workers.indexing.factory import build_index
from workers.retrieve.questions import THREADS, QuestionEncoder
from workers.retrieve.searcher import Searcher


class KnownLedger:
    """Records read beforehand: the baseline pays nothing for visibility."""

    def __init__(self, records: dict[str, DocumentRecord]) -> None:
        self._records = records

    async def get_many(self, tenant: str, document_ids: Iterable[str]) -> dict[str, DocumentRecord]:
        return {i: self._records[i] for i in document_ids if i in self._records}


class InProcess:
    """Use `start` before and `stop` after."""

    def __init__(self, *, index_path: Path, records: dict[str, DocumentRecord]) -> None:
        self._settings = RetrieveSettings(index_path=index_path)
        self._encoder = QuestionEncoder(lambda: build_embedder(self._settings, default_threads=THREADS))
        self._ledger = KnownLedger(records)
        self._generator = build_generator(GenerateSettings())

    async def start(self) -> None:
        embedder = await self._encoder.start()
        self._index = build_index(self._settings, embedder.identity)
        await self._index.open()
        self._searcher = Searcher(self._encode, self._index, self._ledger, scripts=embedder.scripts)

    async def _encode(self, _: str, question: str) -> Vector:
        return await self._encoder.encode(question)

    async def stop(self) -> None:
        await self._encoder.stop()
        await self._index.close()

    async def ask(self, question: str, *, generate: bool = True) -> Answer | None:
        """Search, and answer if asked to."""
        found = await self._searcher.search(QueryRequest(query=question))
        if not generate:
            return None
        prompt = Prompt(
            query=question,
            passages=found.passages,
            parameters=GenerationParameters(),
            encoder_serves_query=found.encoder_serves_query,
        )
        answer = None
        async for item in self._generator.generate(prompt):
            answer = item if isinstance(item, Answer) else answer
        return answer


async def records_of(stack: RunningStack, document_ids: Iterable[str]) -> dict[str, DocumentRecord]:
    """The ledger records that a running stack holds."""
    broker = await Broker.connect(admin_of(stack.data_dir, stack.nats_url), name="benchmark")
    try:
        return await DocumentLedger(broker).get_many(DEFAULT_TENANT, document_ids)
    finally:
        await broker.close()
