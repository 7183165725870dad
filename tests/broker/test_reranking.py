"""A retrieve worker with a reranker, on a real broker, a real index and a real server of `/rerank`."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.answers import Completed, Retrieved
from contracts.model_settings import RerankerKind
from contracts.queries import QueryRequest, SearchMode
from contracts.settings import RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked, texts
from tests.support.heartbeats import breaker_state
from tests.support.indexes import opened_index
from tests.support.model_servers import Answered, ModelServer, reranking
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.retrieve.worker import build

SHORTEST_FIRST = [TEXTS[2], TEXTS[1], TEXTS[0]]


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=2)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer.running(reranking(lambda text: -len(text))) as server:
        yield server


@pytest.fixture
def settings(nats_server: NatsServer, server: ModelServer, tmp_path: Path) -> RetrieveSettings:
    return RetrieveSettings(
        nats_url=nats_server.url,
        index_path=tmp_path / "index",
        data_dir=tmp_path,
        reranker=RerankerKind.ENDPOINT,
        reranker_endpoints=server.url,
        reranker_timeout_s=5,
    )


@pytest.fixture
async def index(settings: RetrieveSettings) -> AsyncIterator[VectorIndex]:
    async with opened_index(settings) as index:
        yield index


@pytest.fixture
async def shelf(broker: Broker, index: VectorIndex) -> Shelf:
    shelf = Shelf(ledger=DocumentLedger(broker), index=index)
    for number, text in enumerate(TEXTS):
        await shelf.put(f"bees-{number}", text)
    return shelf


def app(settings: RetrieveSettings, table: Topology) -> WorkerApp:
    return build(settings, embedder=SimulatedEmbedder, table=table)


async def searched(broker: Broker) -> tuple[list[str], dict[str, float]]:
    """The texts that a search finds, in order, and its timings. The first text is the nearest to itself."""
    request = QueryRequest(tenant=TENANT, query=TEXTS[0], mode=SearchMode.VECTOR, generate=False)
    retrieved, completed = await asked(broker, request)
    assert isinstance(retrieved, Retrieved)
    assert isinstance(completed, Completed)
    return texts(retrieved), retrieved.timings_ms


async def test_passages_are_in_the_rerankers_order(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf, view: FleetView
) -> None:
    async with running(app(settings, table)):
        found, timings = await searched(broker)
        await until(lambda: breaker_state(view, "reranker") == "closed", timeout_s=30)
    assert found == SHORTEST_FIRST
    assert timings["rerank"] > 0
    assert "rerank_skipped" not in timings


async def test_questions_are_answered_while_the_reranker_is_away_and_reranked_once_it_is_back(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf, server: ModelServer, view: FleetView
) -> None:
    works = server.answer
    async with running(app(settings, table)):
        server.answer = lambda _: Answered.json({}, status=503)
        for _ in range(2):
            found, timings = await searched(broker)
            assert found[0] == TEXTS[0]
            assert timings["rerank_skipped"] == 1.0
        await until(lambda: breaker_state(view, "reranker") == "open", timeout_s=30)
        server.answer = works
        await until(lambda: breaker_state(view, "reranker") == "closed", timeout_s=30)
        found, timings = await searched(broker)
    assert found == SHORTEST_FIRST
    assert "rerank_skipped" not in timings


async def test_a_reranker_that_hangs_costs_its_time_and_no_question(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf, server: ModelServer
) -> None:
    opened = threading.Event()
    async with running(app(settings.model_copy(update={"reranker_timeout_s": 0.3}), table)):
        server.answer = lambda _: Answered(body=b"{}", after=opened)
        found, timings = await searched(broker)
        opened.set()
    assert found[0] == TEXTS[0]
    assert timings["rerank"] >= 300
    assert timings["rerank_skipped"] == 1.0


async def test_a_worker_starts_without_its_reranker(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf, server: ModelServer
) -> None:
    server.answer = lambda _: Answered.json({}, status=503)
    async with running(app(settings, table)):
        found, _ = await searched(broker)
    assert found[0] == TEXTS[0]


async def test_a_worker_does_not_start_with_a_wrong_key(
    settings: RetrieveSettings, table: Topology, broker: Broker, server: ModelServer
) -> None:
    server.answer = lambda _: Answered.json({}, status=401)
    assert await app(settings, table).run(handle_signals=False) == 2
