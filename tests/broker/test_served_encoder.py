"""An embed worker whose encoder is served over HTTP: whatever is wrong with the server, no document fails of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import topology
from contracts.documents import DocumentState
from contracts.model_settings import EncoderKind
from contracts.settings import EmbedSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import Stage
from tests.broker.test_backends_away import redelivered
from tests.support.heartbeats import breaker_state
from tests.support.letters import dead_letters
from tests.support.model_servers import Answered, Asked, ModelServer, embeddings, letters
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build
from workers.retrieve.worker import build as build_retrieve


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=3)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer.running(embeddings(letters)) as server:
        yield server


@pytest.fixture
def settings(nats_server: NatsServer, server: ModelServer, tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        encoder=EncoderKind.OPENAI,
        encoder_model="letters",
        encoder_endpoints=server.url,
        encoder_timeout_s=5,
    )


@pytest.fixture
def stage(broker: Broker) -> Stage:
    return Stage(broker=broker, ledger=DocumentLedger(broker))


@pytest.mark.parametrize(
    "answered", [Answered.json({}, status=503), Answered.json({}, status=401), Answered.page()], ids=lambda a: a.status
)
async def test_documents_wait_for_the_server(
    settings: EmbedSettings,
    table: Topology,
    stage: Stage,
    broker: Broker,
    server: ModelServer,
    view: FleetView,
    answered: Answered,
) -> None:
    works = server.answer
    async with running(build(settings, table=table)):
        server.answer = lambda _: answered
        generation = await stage.ingest("d", "one", "two")
        await until(lambda: breaker_state(view, "encoder") == "open", timeout_s=60)
        assert await redelivered(broker, topology.EMBED_WORKERS) == 0
        server.answer = works
        await until(lambda: stage.is_visible("d", generation), timeout_s=30)
    assert await dead_letters(broker) == []


async def test_a_text_that_is_refused_fails_its_document_alone(
    settings: EmbedSettings, table: Topology, stage: Stage, broker: Broker, server: ModelServer
) -> None:
    def refusing(asked: Asked) -> Answered:
        if any("!" in text for text in asked.body["input"]):
            return Answered.json({"error": {"message": "this text is too long"}}, status=400)
        return embeddings(letters)(asked)

    async with running(build(settings, table=table)):
        server.answer = refusing
        good, _ = await stage.ingest("good", "one", "two"), await stage.ingest("bad", "three!")
        await until(lambda: stage.is_visible("good", good), timeout_s=60)
        await until(stage.queue_is_empty)
    record = await stage.record("bad")
    assert record.state is DocumentState.FAILED
    assert len(await dead_letters(broker)) == 1


@pytest.mark.parametrize("kind", ["embed", "retrieve"])
async def test_a_worker_waits_for_a_server_that_is_not_there_yet(
    settings: EmbedSettings,
    table: Topology,
    broker: Broker,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    view: FleetView,
    kind: str,
) -> None:
    monkeypatch.setattr("workers.encoding.arrival.RETRY_S", 0.05)
    works, server.answer = server.answer, lambda _: Answered.json({"message": "loading"}, status=503)
    worker = build(settings, table=table) if kind == "embed" else build_retrieve(_searching(settings), table=table)
    life = asyncio.create_task(worker.run(handle_signals=False))
    await until(lambda: len(server.asked) + server.probes >= 8, timeout_s=30)
    assert not life.done()
    await until(lambda: breaker_state(view, "encoder") == "open", timeout_s=30)
    server.answer = works
    await asyncio.wait_for(worker.wait_ready(), 30)
    await until(lambda: breaker_state(view, "encoder") == "closed", timeout_s=30)
    worker.stop()
    assert await life == 0


def _searching(settings: EmbedSettings) -> RetrieveSettings:
    return RetrieveSettings.model_validate(settings.model_dump(include=set(RetrieveSettings.model_fields)))


async def test_a_worker_does_not_start_with_a_wrong_key(
    settings: EmbedSettings, table: Topology, broker: Broker, server: ModelServer
) -> None:
    server.answer = lambda _: Answered.json({}, status=401)
    assert await build(settings, table=table).run(handle_signals=False) == 2
