"""Workers whose models are served by something broken, wrongly set up or malicious: nothing is lost, and it is said why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from contracts import topology
from contracts.answers import Completed, Failed, Retrieved
from contracts.errors import ErrorCode
from contracts.model_settings import EncoderKind, RerankerKind
from contracts.queries import QueryRequest, SearchMode
from contracts.settings import EmbedSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked, texts
from tests.broker.embedding_stage import Stage
from tests.broker.test_backends_away import redelivered
from tests.support.heartbeats import breaker_state
from tests.support.hostile_replies import ANSWERS, hanging, huge, replying
from tests.support.letters import dead_letters
from tests.support.model_servers import LETTERS, Answer, Answered, ModelServer, embeddings, letters, reranking
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build as build_embed
from workers.encoding.base import Vector
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_index
from workers.retrieve.worker import build as build_retrieve

HANGS = "nothing"
NAMED = {
    "a page": "ENDPOINTS",
    "401": "API_KEY",
    "a redirect": "ENDPOINTS",
    "no such model": "MODEL",
    "JSON of another kind": "ENDPOINTS",
    "100 MB": "ENDPOINTS",
    "too few": "ENDPOINTS",
    "another dimension": "DIMENSION",
    HANGS: "TIMEOUT_S",
}
"""The ends of the settings that may be what is wrong; the others fail for no setting's sake."""


def always(answered: Answered) -> Answer:
    return lambda _: answered


def of_another_dimension(texts: Sequence[str]) -> Vector:
    return letters(texts)[:, :5]


def of_no_numbers(texts: Sequence[str]) -> Vector:
    return np.full((len(texts), LETTERS), np.nan, dtype=np.float32)


ENCODERS = {
    **{name: always(answered) for name, answered in ANSWERS.items()},
    "100 MB": huge,
    "too few": always(Answered.json({"data": []})),
    "another dimension": embeddings(of_another_dimension),
    "no numbers": embeddings(of_no_numbers),
    "no to everything": always(Answered.json({"error": {"message": "no"}}, status=400)),
}
RERANKERS = {
    **{name: always(answered) for name, answered in ANSWERS.items()},
    "100 MB": huge,
    "too few": always(Answered.json({"results": [{"index": 0, "relevance_score": 1.0}]})),
    "no numbers": reranking(lambda _: float("nan")),
}


@pytest.fixture
def table() -> Topology:
    """Nothing is delivered anew for want of a beat, however busy the machine: what is not held here is lost at once."""
    return brisk(ack_wait_s=10.0, max_deliver=3)


@pytest.fixture
async def view(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FleetView]:
    """Hears heartbeats, which come often."""
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    view = FleetView(broker)
    await view.start()
    yield view
    await view.stop()


def says(view: FleetView, backend: str, what: str) -> bool:
    """Whether the only worker's heartbeats give this as the reason why a backend is away."""
    checks = [check for member in view.members() for check in member.heartbeat.checks]
    return (
        any(check.name == backend and what in check.detail for check in checks)
        and breaker_state(view, backend) != "closed"
    )


class TestEncoder:
    @pytest.fixture
    def server(self) -> Iterator[ModelServer]:
        with ModelServer.running(embeddings(letters)) as server:
            yield server

    @pytest.fixture
    def settings(self, nats_server: NatsServer, server: ModelServer, tmp_path: Path) -> EmbedSettings:
        return EmbedSettings(
            nats_url=nats_server.url,
            data_dir=tmp_path,
            encoder=EncoderKind.OPENAI,
            encoder_model="letters",
            encoder_endpoints=server.url,
            encoder_api_key=SecretStr("honey"),
            encoder_timeout_s=2,
        )

    @staticmethod
    def broken(server: ModelServer, how: str) -> AbstractContextManager[None]:
        return hanging(server) if how == HANGS else replying(server, ENCODERS[how])

    @pytest.mark.parametrize("how", [*ENCODERS, HANGS])
    async def test_documents_are_held(
        self,
        settings: EmbedSettings,
        table: Topology,
        broker: Broker,
        server: ModelServer,
        view: FleetView,
        how: str,
    ) -> None:
        stage = Stage(broker=broker, ledger=DocumentLedger(broker))
        async with running(build_embed(settings, table=table)):
            with self.broken(server, how):
                generation = await stage.ingest("d", "one", "two", "three")
                setting = f"WAGGLE_ENCODER_{NAMED[how]}" if how in NAMED else ""
                await until(lambda: says(view, "encoder", setting), timeout_s=60)
                assert await redelivered(broker, topology.EMBED_WORKERS) == 0
            await until(lambda: stage.is_visible("d", generation), timeout_s=60)
            await until(stage.queue_is_empty)
        assert await dead_letters(broker) == []

    @pytest.mark.parametrize("how", [*ENCODERS, HANGS])
    async def test_questions_are_held_and_end(
        self,
        settings: EmbedSettings,
        table: Topology,
        broker: Broker,
        server: ModelServer,
        view: FleetView,
        how: str,
    ) -> None:
        searching = RetrieveSettings.model_validate(settings.model_dump(include=set(RetrieveSettings.model_fields)))
        async with running(build_retrieve(searching, table=table)):
            with self.broken(server, how):
                patient = asyncio.create_task(asked(broker, question("How do bees dance?"), budget_s=120))
                setting = f"WAGGLE_ENCODER_{NAMED[how]}" if how in NAMED else ""
                await until(lambda: says(view, "encoder", setting), timeout_s=60)
                (late,) = await asked(broker, question("What do bees eat?"), budget_s=1)
            *_, end = await patient
        assert isinstance(late, Failed)
        assert isinstance(end, Completed)
        assert late.code == ErrorCode.DEADLINE_EXCEEDED
        assert await dead_letters(broker) == []


class TestReranker:
    @pytest.fixture
    def server(self) -> Iterator[ModelServer]:
        with ModelServer.running(reranking(lambda text: -len(text))) as server:
            yield server

    @pytest.fixture
    def settings(self, nats_server: NatsServer, server: ModelServer, tmp_path: Path) -> RetrieveSettings:
        return RetrieveSettings(
            nats_url=nats_server.url,
            index_path=tmp_path / "index",
            data_dir=tmp_path,
            reranker=RerankerKind.ENDPOINT,
            reranker_endpoints=server.url,
            reranker_api_key=SecretStr("honey"),
            reranker_timeout_s=5,
        )

    @pytest.fixture
    async def index(self, settings: RetrieveSettings) -> AsyncIterator[VectorIndex]:
        index = build_index(settings, SimulatedEmbedder().identity)
        await index.open()
        yield index
        await index.close()

    @pytest.mark.parametrize("how", [*RERANKERS, HANGS])
    async def test_questions_are_answered_without_it(
        self,
        settings: RetrieveSettings,
        table: Topology,
        broker: Broker,
        index: VectorIndex,
        server: ModelServer,
        view: FleetView,
        how: str,
    ) -> None:
        shelf = Shelf(ledger=DocumentLedger(broker), index=index)
        for number, text in enumerate(TEXTS):
            await shelf.put(f"bees-{number}", text)
        if how == HANGS:
            settings = settings.model_copy(update={"reranker_timeout_s": 0.5})
        async with running(build_retrieve(settings, embedder=SimulatedEmbedder, table=table)):
            await until(lambda: breaker_state(view, "reranker") == "closed", timeout_s=60)
            with hanging(server) if how == HANGS else replying(server, RERANKERS[how]):
                retrieved, completed = await asked(broker, question(TEXTS[0]), budget_s=60)
                setting = f"WAGGLE_RERANKER_{NAMED[how]}" if how in NAMED and how != HANGS else ""
                await until(lambda: says(view, "reranker", setting), timeout_s=60)
            await until(lambda: breaker_state(view, "reranker") == "closed", timeout_s=60)
        assert isinstance(retrieved, Retrieved)
        assert retrieved.timings_ms["rerank_skipped"] == 1.0
        assert texts(retrieved)[0] == TEXTS[0]
        assert isinstance(completed, Completed)
        assert await dead_letters(broker) == []


def question(text: str) -> QueryRequest:
    return QueryRequest(tenant=TENANT, query=text, mode=SearchMode.VECTOR, generate=False)
