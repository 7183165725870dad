"""Queues that are full: whoever has to put something in waits with its message in hand, and loses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.answers import Failed
from contracts.errors import ErrorCode
from contracts.queries import QueryRequest
from contracts.settings import EmbedSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import Terminals
from tests.broker.embedding_stage import TENANT, Stage
from tests.support.letters import dead_letters
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed import worker as embed
from workers.encoding.simulated import SimulatedEmbedder
from workers.retrieve import worker as retrieve


@pytest.fixture
def table() -> Topology:
    return brisk(ack_wait_s=0.5, max_deliver=2)


@pytest.fixture
async def retriever(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, table: Topology
) -> AsyncIterator[WorkerApp]:
    settings = RetrieveSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path)
    async with running(retrieve.build(settings, embedder=SimulatedEmbedder, table=table)) as app:
        yield app


async def limit(broker: Broker, stream: topology.Stream, *, messages: int) -> None:
    config = (await broker.js.stream_info(stream.name)).config
    await broker.js.update_stream(replace(config, max_msgs=messages))


async def handed_over(broker: Broker) -> int:
    return await Storage(broker).count(topology.GENERATE.name, f"{subjects.GENERATE_REQUESTS}.stable.*")


async def ask(broker: Broker, query_id: str, *, budget_s: float) -> None:
    await Queries(broker).ask(QueryRequest(tenant=TENANT, query_id=query_id, query="How?"), budget_s=budget_s)


async def test_a_question_waits_for_room_at_generation_without_using_up_its_attempts(
    retriever: WorkerApp, broker: Broker
) -> None:
    await limit(broker, topology.GENERATE, messages=1)
    await ask(broker, "first", budget_s=60)
    await until(lambda: handed_over(broker))
    await ask(broker, "second", budget_s=60)

    async def is_held_longer_than_its_attempts_last() -> bool:
        info = await broker.js.consumer_info(topology.QUERY.name, topology.QUERY_WORKERS.durable)
        return bool(info.num_ack_pending and retriever._parts.activity.oldest_in_flight_s > 3)  # type: ignore[operator]

    await until(is_held_longer_than_its_attempts_last)
    info = await broker.js.consumer_info(topology.QUERY.name, topology.QUERY_WORKERS.durable)
    assert info.num_redelivered == 0
    await limit(broker, topology.GENERATE, messages=-1)

    async def both_are_there() -> bool:
        return await handed_over(broker) == 2

    await until(both_are_there)
    assert await dead_letters(broker) == []


async def test_one_that_waits_in_vain_ends_at_its_deadline(retriever: WorkerApp, broker: Broker) -> None:
    await limit(broker, topology.GENERATE, messages=1)
    await ask(broker, "first", budget_s=60)
    await until(lambda: handed_over(broker))
    await ask(broker, "second", budget_s=1.5)

    async def has_ended() -> bool:
        return await Terminals(broker).find(TENANT, "second") is not None

    await until(has_ended)
    ended = await Terminals(broker).find(TENANT, "second")
    assert isinstance(ended, Failed)
    assert ended.code == ErrorCode.DEADLINE_EXCEEDED
    assert await dead_letters(broker) == []


async def test_a_document_becomes_visible_although_its_purge_finds_the_queue_full(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, table: Topology
) -> None:
    """Whoever waited for room there would be the one who has to make it."""
    settings = EmbedSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path)
    stage = Stage(broker=broker, ledger=DocumentLedger(broker), batch_size=9)
    old = await stage.ingest("d", "old")
    async with running(embed.build(settings, embedder=SimulatedEmbedder, kept_s=0, table=table)):
        await until(lambda: stage.is_visible("d", old))
        await until(stage.queue_is_empty)
    new = await stage.ingest("d", "new")
    await limit(broker, topology.EMBED, messages=1)
    async with running(embed.build(settings, embedder=SimulatedEmbedder, kept_s=0, table=table)):
        await until(lambda: stage.is_visible("d", new))
        await until(stage.queue_is_empty)
    assert await dead_letters(broker) == []
