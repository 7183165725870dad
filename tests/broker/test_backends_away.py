"""Each worker while what it needs is away for longer than all attempts would take: all is done when it is back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from contracts import topology
from contracts.answers import Completed, Delta, Failed, Retrieved
from contracts.documents import DocumentState
from contracts.errors import ErrorCode, TransientError
from contracts.health import CheckStatus, ProcessState
from contracts.queries import GenerateRequest, QueryRequest
from contracts.settings import BrokerSettings, EmbedSettings, GenerateSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerReader, AnyEvent
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.terminals import Terminals
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked, generate_request, texts
from tests.broker.embedding_stage import BAD, Stage, WatchedEmbedder
from tests.support.backends import unanswered
from tests.support.heartbeats import breaker_state
from tests.support.indexes import opened_index
from tests.support.ingest_house import House
from tests.support.letters import dead_letters
from tests.support.topologies import BRISK_ACK_WAIT_S, brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build as build_embed
from workers.encoding.simulated import SimulatedEmbedder
from workers.generate.base import Answer, Piece, Prompt
from workers.generate.extractive import ExtractiveGenerator
from workers.generate.worker import build as build_generate
from workers.indexing.base import VectorIndex
from workers.retrieve.worker import build as build_retrieve

OUTAGE_S = 2 * BRISK_ACK_WAIT_S
"""Two attempts half a second apart are over long before."""


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=3)


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    return tmp_path / "index"


def is_ready(view: FleetView) -> bool:
    return any(member.heartbeat.state is ProcessState.READY for member in view.members())


@asynccontextmanager
async def away(index_path: Path) -> AsyncIterator[None]:
    """The body runs while the index folder is somewhere else."""
    elsewhere = index_path.with_suffix(".away")
    await asyncio.to_thread(os.rename, index_path, elsewhere)
    try:
        yield
    finally:
        await asyncio.to_thread(os.rename, elsewhere, index_path)


async def redelivered(broker: Broker, consumer: topology.Consumer) -> int:
    info = await broker.js.consumer_info(consumer.stream.name, consumer.durable)
    return info.num_redelivered or 0


class TestEmbed:
    @pytest.fixture
    def settings(self, nats_server: NatsServer, tmp_path: Path, index_path: Path) -> EmbedSettings:
        settings = EmbedSettings(nats_url=nats_server.url, index_path=index_path, data_dir=tmp_path)
        return settings.model_copy(update={"embed_batch_messages": 2})

    @pytest.fixture
    def stage(self, broker: Broker) -> Stage:
        return Stage(broker=broker, ledger=DocumentLedger(broker))

    async def test_documents_wait_for_the_index(
        self, settings: EmbedSettings, table: Topology, stage: Stage, index_path: Path, broker: Broker, view: FleetView
    ) -> None:
        async with running(build_embed(settings, embedder=WatchedEmbedder, table=table)):
            async with away(index_path):
                generations = {f"d{n}": await stage.ingest(f"d{n}", *(f"{n} {i}" for i in range(4))) for n in range(5)}
                await until(lambda: breaker_state(view, "index") == "open")
                await asyncio.sleep(OUTAGE_S)
                assert await redelivered(broker, topology.EMBED_WORKERS) == 0
            for document_id, generation in generations.items():
                await until(partial(stage.is_visible, document_id, generation), timeout_s=30)
            await until(lambda: breaker_state(view, "index") == "closed")
            await until(stage.queue_is_empty)
        assert await dead_letters(broker) == []

    async def test_a_bad_text_among_those_that_wait_still_fails_its_document_alone(
        self, settings: EmbedSettings, table: Topology, stage: Stage, index_path: Path, broker: Broker
    ) -> None:
        async with running(build_embed(settings, embedder=WatchedEmbedder, table=table)):
            async with away(index_path):
                good, _ = await stage.ingest("good", "one"), await stage.ingest("bad", BAD)
                await asyncio.sleep(OUTAGE_S)
            await until(lambda: stage.is_visible("good", good), timeout_s=30)
            await until(stage.queue_is_empty)
        assert (await stage.record("bad")).state is DocumentState.FAILED
        assert len(await dead_letters(broker)) == 1

    async def test_documents_wait_for_the_encoder(
        self, settings: EmbedSettings, table: Topology, stage: Stage, broker: Broker, view: FleetView
    ) -> None:
        class Lost(WatchedEmbedder):
            lost = True

            def encode_passages(self, passages):
                found = super().encode_passages(passages)
                return [RuntimeError("device lost")] * len(found) if self.lost else found

        embedder = Lost()
        async with running(build_embed(settings, embedder=lambda: embedder, table=table)):
            generation = await stage.ingest("d", "one")
            await until(lambda: breaker_state(view, "encoder") == "open")
            await asyncio.sleep(OUTAGE_S)
            assert await redelivered(broker, topology.EMBED_WORKERS) == 0
            embedder.lost = False
            await until(lambda: stage.is_visible("d", generation), timeout_s=30)
        assert await dead_letters(broker) == []


class TestRetrieve:
    @pytest.fixture
    def settings(self, nats_server: NatsServer, tmp_path: Path, index_path: Path) -> RetrieveSettings:
        return RetrieveSettings(nats_url=nats_server.url, index_path=index_path, data_dir=tmp_path)

    @pytest.fixture
    async def index(self, settings: RetrieveSettings) -> AsyncIterator[VectorIndex]:
        async with opened_index(settings) as index:
            yield index

    def question(self) -> QueryRequest:
        return QueryRequest(tenant=TENANT, query="What do the winter stores weigh?", generate=False)

    async def test_a_question_waits_for_the_index_until_its_deadline(
        self,
        settings: RetrieveSettings,
        table: Topology,
        broker: Broker,
        index: VectorIndex,
        index_path: Path,
        view: FleetView,
    ) -> None:
        await Shelf(ledger=DocumentLedger(broker), index=index).put("bees", *TEXTS)
        async with running(build_retrieve(settings, embedder=SimulatedEmbedder, table=table)):
            async with away(index_path):
                patient = asyncio.create_task(asked(broker, self.question(), budget_s=60))
                await until(lambda: breaker_state(view, "index") == "open")
                (late,) = await asked(broker, self.question(), budget_s=1)
                await asyncio.sleep(OUTAGE_S)
                assert await redelivered(broker, topology.QUERY_WORKERS) == 0
            retrieved, completed = await patient
            await until(lambda: breaker_state(view, "index") == "closed")
        assert isinstance(late, Failed)
        assert late.code == ErrorCode.DEADLINE_EXCEEDED
        assert isinstance(retrieved, Retrieved)
        assert texts(retrieved)[0] == TEXTS[0]
        assert isinstance(completed, Completed)
        assert await dead_letters(broker) == []

    async def test_more_questions_than_the_worker_takes_at_once_all_end(
        self, settings: RetrieveSettings, table: Topology, broker: Broker, index: VectorIndex, index_path: Path
    ) -> None:
        requests = [self.question() for _ in range(3 * settings.retrieve_concurrency)]
        async with running(build_retrieve(settings, embedder=SimulatedEmbedder, table=table)), away(index_path):
            for request in requests:
                await Queries(broker).ask(request, budget_s=2)

            async def all_ended() -> bool:
                return all([await Terminals(broker).find(TENANT, r.query_id) for r in requests])

            await until(all_ended, timeout_s=30)
        assert await dead_letters(broker) == []


class Endpoint(ExtractiveGenerator):
    """A generator whose backend comes and goes; it says `pieces` pieces before it finds out."""

    def __init__(self, *, pieces: int = 0, away: bool = False) -> None:
        super().__init__()
        self.away = away
        self._pieces = pieces

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
        if self.away:
            for n in range(self._pieces):
                yield Piece(text=f"piece {n} ")
            raise TransientError("connection refused")
        async for item in super().generate(prompt):
            yield item

    async def look(self) -> None:
        if self.away:
            raise TransientError("connection refused")


async def _asked(broker: Broker, request: GenerateRequest) -> asyncio.Task[list[AnyEvent]]:
    """What becomes of the request, which is in its queue by now."""
    answer = asyncio.create_task(_answered(broker, request.query_id))
    await broker.publish(
        f"rag.generate.requests.stable.{TENANT}", request, stream=topology.GENERATE, message_id=request.query_id
    )
    return answer


class TestGenerate:
    @pytest.fixture
    def settings(self, nats_server: NatsServer, tmp_path: Path) -> GenerateSettings:
        return GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path)

    @pytest.mark.parametrize(("pieces", "attempts"), [(0, {"1"}), (2, {"1", "2"})])
    async def test_an_answer_waits_for_the_generator_and_broken_off_pieces_are_void(
        self,
        settings: GenerateSettings,
        table: Topology,
        broker: Broker,
        view: FleetView,
        pieces: int,
        attempts: set[str],
    ) -> None:
        endpoint, request = Endpoint(pieces=pieces), generate_request(broker, left_s=60)
        async with running(build_generate(settings, generator=endpoint, table=table)):
            endpoint.away = True
            answer = await _asked(broker, request)
            await until(lambda: breaker_state(view, "generator") == "open")
            await asyncio.sleep(OUTAGE_S)
            endpoint.away = False
            *deltas, completed = await answer
            await until(lambda: breaker_state(view, "generator") == "closed")
        assert isinstance(completed, Completed)
        assert completed.answered
        assert {d.id.split(".")[0] for d in deltas if isinstance(d, Delta)} == attempts
        last = max(d.id.split(".")[0] for d in deltas if isinstance(d, Delta))
        shown = "".join(d.text for d in deltas if isinstance(d, Delta) and d.id.split(".")[0] == last)
        assert shown == completed.answer
        assert await dead_letters(broker) == []


class TestGenerateFromTheStart:
    @pytest.fixture
    def table(self) -> Topology:
        """With an ack wait that no busy machine makes a process miss: a second attempt would be by a defect."""
        return brisk(ack_wait_s=30)

    @pytest.fixture
    def settings(self, nats_server: NatsServer, tmp_path: Path) -> GenerateSettings:
        return GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path)

    async def test_a_generator_that_is_away_from_the_start_is_told_before_anybody_asks(
        self, settings: GenerateSettings, table: Topology, broker: Broker, view: FleetView
    ) -> None:
        endpoint, request = Endpoint(away=True), generate_request(broker, left_s=60)
        async with running(build_generate(settings, generator=endpoint, table=table)):
            await until(lambda: is_ready(view))
            (check,) = (c for m in view.members() for c in m.heartbeat.checks if c.name == "generator")
            assert check.status is CheckStatus.FAILING
            assert "connection refused" in check.detail
            answer = await _asked(broker, request)
            endpoint.away = False
            *deltas, completed = await answer
            await until(lambda: breaker_state(view, "generator") == "closed")
        assert isinstance(completed, Completed)
        assert {d.id.split(".")[0] for d in deltas if isinstance(d, Delta)} == {"1"}


class TestIngest:
    @pytest.fixture
    async def house(self, broker: Broker, broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[House]:
        house = House(broker, broker_settings, table)
        yield house
        await house.close()

    async def test_documents_wait_for_the_object_store(self, house: House, broker: Broker, view: FleetView) -> None:
        await house.submit("d", b"The hive keeps its winter stores in the upper box.", name="d.txt")
        with ExitStack() as outage:
            outage.enter_context(unanswered("OBJ_uploads"))
            await self._outlasted(house, broker, view, outage)

    async def _outlasted(self, house: House, broker: Broker, view: FleetView, outage: ExitStack) -> None:
        async with running(house.worker()):
            await until(lambda: breaker_state(view, "uploads") == "open")
            await asyncio.sleep(OUTAGE_S)
            assert await redelivered(broker, topology.INGEST_WORKERS) == 0
            outage.close()
            assert await house.batched("d")
            await until(lambda: breaker_state(view, "uploads") == "closed")
            await until(house.queue_is_empty)
        assert await dead_letters(broker) == []


async def _answered(broker: Broker, query_id: str) -> list[AnyEvent]:
    async with AnswerReader(broker).open(TENANT, query_id) as stream:
        return [event async for event in stream.events(timeout_s=60)]
