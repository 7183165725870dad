"""Shelves documents as if they had been ingested, asks, and follows the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from contracts.answers import Retrieved
from contracts.documents import Plan
from contracts.events import QueryFact
from contracts.identifiers import digest, new_id
from contracts.queries import GenerateRequest, GenerationParameters, QueryRequest, RetrievedPassage, SentenceScore
from contracts.subjects import query_event
from messaging.answers import AnswerReader, AnyEvent
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.storage import Storage
from tests.unit.indexing.rows import row
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import Row, VectorIndex

TENANT = "acme"
TEXTS = (
    "The winter stores of a colony weigh twenty kilograms.",
    "Drones leave the hive in autumn.",
    "Smoke calms the bees.",
)


def warms_up(questions: Sequence[str]) -> bool:
    """Whether nobody asked these: a worker encodes them before it is ready."""
    return all(question == "warm up" or set(question.split()) == {"bee"} for question in questions)


@dataclass(kw_only=True)
class Shelf:
    """Documents in the index and in the ledger."""

    ledger: DocumentLedger
    index: VectorIndex

    async def put(self, document_id: str, *texts: str, visible: bool = True) -> str:
        """Write a new generation; returns it. Its rows are in the index even if it is not to be visible."""
        generation, sha256 = new_id(), digest(*texts)
        await self.ledger.submit(
            TENANT, document_id, generation=generation, name=f"{document_id}.txt", sha256=sha256, size_bytes=1
        )
        plan = Plan(plan_id=digest(sha256, "plan"), batches=1, chunks=len(texts), characters=1000)
        await self.ledger.plan(TENANT, document_id, generation, plan)
        await self.index.upsert([_row(document_id, generation, i, text) for i, text in enumerate(texts)])
        if visible:
            await self.ledger.ready(TENANT, document_id, generation)
        return generation


def _row(document_id: str, generation: str, ordinal: int, text: str) -> Row:
    """A chunk of one sentence, far from the others of its document."""
    made = row(
        text,
        ordinal=ordinal,
        document_id=document_id,
        generation=generation,
        tenant=TENANT,
        sentences=((0, len(text)),),
        embedder=SimulatedEmbedder(),
    )
    return replace(made, start=1000 * ordinal, end=1000 * ordinal + len(text), page=None)


async def asked(broker: Broker, request: QueryRequest, *, budget_s: float = 20.0) -> list[AnyEvent]:
    """Ask, and follow the answer to its end."""
    async with AnswerReader(broker).open(request.tenant, request.query_id) as stream:
        await Queries(broker).ask(request, budget_s=budget_s)
        return [event async for event in stream.events(timeout_s=budget_s + 5)]


def texts(event: AnyEvent) -> list[str]:
    assert isinstance(event, Retrieved)
    return [passage.text for passage in event.passages]


async def told(broker: Broker, fact: QueryFact, tenant: str = TENANT) -> int:
    """How many events of a fact there are."""
    return await Storage(broker).count("EVENTS", query_event(fact, tenant))


async def is_told(broker: Broker, fact: QueryFact) -> bool:
    return await told(broker, fact) > 0


def passages() -> tuple[RetrievedPassage, ...]:
    """What a search for the winter stores finds."""
    return tuple(
        RetrievedPassage(
            chunk_id=f"c{i}",
            document_id="bees",
            generation="g1",
            name="bees.txt",
            ordinal=i,
            text=text,
            score=0.9 - 0.3 * i,
            start=1000 * i,
            end=1000 * i + len(text),
            sentences=(SentenceScore(start=0, end=len(text)),),
        )
        for i, text in enumerate(TEXTS)
    )


def generate_request(broker: Broker, *, left_s: float = 20.0, max_tokens: int | None = None) -> GenerateRequest:
    """A request with so much time left."""
    return GenerateRequest(
        tenant=TENANT,
        query_id=new_id(),
        query="How much do the winter stores of a colony weigh?",
        passages=passages(),
        generation=GenerationParameters(max_tokens=max_tokens),
        deadline=broker.clock.now() + timedelta(seconds=left_s),
        timings_ms={"search": 1.0},
    )
