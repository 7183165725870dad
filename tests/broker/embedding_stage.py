"""Plays ingest for the embed worker: submits, plans and publishes batches, and looks at what became of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts import subjects, topology
from contracts.documents import Chunk, DocumentRecord, EmbedRequest, Plan, PurgeRequest
from contracts.events import DocumentFact
from contracts.identifiers import digest, new_id
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from workers.embed.guarded_encoder import PLAIN
from workers.encoding.base import EncoderIdentity, Passage, PassageEmbedding, Vector
from workers.encoding.simulated import SimulatedEmbedder

TENANT = "acme"
BAD = "this text cannot be encoded"


class WatchedEmbedder:
    """A simulated encoder that notes what it encodes for documents, fails on `BAD`, and can be held while it encodes."""

    def __init__(self) -> None:
        self._inner = SimulatedEmbedder()
        self.encoded: list[str] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    @property
    def identity(self) -> EncoderIdentity:
        return self._inner.identity

    @property
    def scripts(self) -> frozenset[str]:
        return self._inner.scripts

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        if list(passages) == [PLAIN]:  # a probe
            return self._inner.encode_passages(passages)
        self.entered.set()
        assert self.open.wait(30)
        self.encoded += [passage.text for passage in passages]
        outcomes = self._inner.encode_passages(passages)
        return [ValueError("bad text") if BAD in p.text else o for p, o in zip(passages, outcomes, strict=True)]

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        return self._inner.encode_questions(questions)

    def count_tokens(self, texts: Sequence[str]) -> int:
        return self._inner.count_tokens(texts)

    def close(self) -> None:
        self._inner.close()


def chunks(*texts: str) -> list[Chunk]:
    return [
        Chunk(ordinal=i, text=text, start=100 * i, end=100 * i + len(text), sentences=((0, len(text)),))
        for i, text in enumerate(texts)
    ]


@dataclass(kw_only=True)
class Stage:
    """One broker's documents."""

    broker: Broker
    ledger: DocumentLedger
    batch_size: int = 2
    requests: dict[str, list[EmbedRequest]] = field(default_factory=dict)

    async def prepare(self, document_id: str, *texts: str) -> str:
        """Submit and plan a document; returns its generation. Nothing is published yet."""
        cut = chunks(*texts)
        generation, sha256 = new_id(), digest(*texts)
        batches = [cut[i : i + self.batch_size] for i in range(0, len(cut), self.batch_size)]
        plan = Plan(plan_id=digest(sha256, "plan"), batches=len(batches), chunks=len(cut), characters=1000)
        await self.ledger.submit(
            TENANT, document_id, generation=generation, name=f"{document_id}.txt", sha256=sha256, size_bytes=1
        )
        await self.ledger.plan(TENANT, document_id, generation, plan)
        self.requests[generation] = [
            EmbedRequest(
                tenant=TENANT,
                document_id=document_id,
                generation=generation,
                plan_id=plan.plan_id,
                batch=number,
                name=f"{document_id}.txt",
                chunks=tuple(batch),
            )
            for number, batch in enumerate(batches)
        ]
        return generation

    async def publish(self, generation: str, *, repeat: str = "", only: int | None = None) -> None:
        """Publish the batches of a generation; `repeat` makes them new messages of the same content."""
        for request in self.requests[generation]:
            if only is None or request.batch == only:
                await self.publish_request(request, message_id=f"{generation}.{request.batch}{repeat}")

    async def publish_request(self, request: EmbedRequest, *, message_id: str) -> None:
        await self.broker.publish(
            subjects.embed_request(request.tenant), request, stream=topology.EMBED, message_id=message_id
        )

    async def ingest(self, document_id: str, *texts: str) -> str:
        generation = await self.prepare(document_id, *texts)
        await self.publish(generation)
        return generation

    async def purge(self, document_id: str, generation: str) -> None:
        await self.broker.publish(
            subjects.embed_purge(TENANT),
            PurgeRequest(tenant=TENANT, document_id=document_id, generation=generation),
            stream=topology.EMBED,
            message_id=f"purge.{TENANT}.{document_id}.{generation}",
        )

    async def record(self, document_id: str) -> DocumentRecord:
        record = await self.ledger.get(TENANT, document_id)
        assert record is not None
        return record

    async def is_visible(self, document_id: str, generation: str) -> bool:
        return (await self.record(document_id)).searchable_generation == generation

    async def told(self, fact: DocumentFact) -> int:
        """How many events of a fact there are."""
        return await Storage(self.broker).count("EVENTS", subjects.document_event(fact, TENANT))

    async def queue_is_empty(self) -> bool:
        return (await self.broker.js.stream_info("EMBED")).state.messages == 0
