"""What the fleet and the broker tell becomes series, over a real broker; whatever is published, the listener lives."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from contracts import subjects, topology
from contracts.documents import IngestRequest
from contracts.events import QueryFact
from contracts.identifiers import new_id
from contracts.queries import QueryRequest
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.events import Events
from tests.broker.test_exhaustion import DELIVERIES, use_up
from tests.support.listening import Listening, listening_intake, make_brisk
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running


@pytest.fixture
def table() -> Topology:
    return brisk(ack_wait_s=0.3, max_deliver=DELIVERIES)


@pytest.fixture
async def fleet(broker: Broker, table: Topology, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    make_brisk(monkeypatch)
    async with listening_intake(broker, table) as listening:
        yield listening


async def ask(broker: Broker, query_id: str) -> None:
    await broker.publish(
        subjects.query_request("t"),
        QueryRequest(tenant="t", query_id=query_id, query="what?"),
        stream=topology.QUERY,
        message_id=query_id,
        headers={subjects.HEADER_QUERY_ID: query_id, subjects.HEADER_BUDGET_MS: "20000"},
    )


async def submit(broker: Broker) -> None:
    request = IngestRequest(tenant="t", document_id="d", generation=new_id(), name="a.txt", sha256="a" * 64)
    subject = subjects.ingest_request("t")
    await broker.publish(subject, request, stream=topology.INGEST, message_id=request.generation)


async def test_heartbeats_samples_and_facts_become_series(
    fleet: Listening, broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    monkeypatch.setattr("messaging.running.SAMPLE_INTERVAL_S", 0.1)
    async with running(worker):
        await until(lambda: fleet.value('waggle_up{service="tested",instance="worker-1"}') == 1)
        await until(lambda: fleet.value('waggle_process_state{state="ready"}') == 1)
        await until(lambda: (fleet.value('process_memory_usage_bytes{instance="worker-1"}') or 0) > 1e6)
        await until(lambda: fleet.value('waggle_log_errors_total{service="tested",instance="worker-1"}') == 0)
        assert abs(fleet.value("waggle_process_clock_skew_seconds") or 0) < 10
        await ask(broker, "q1")  # the broker tells the headers of it
        await Events(broker).query(QueryFact.COMPLETED, tenant="t", query_id="q1", answered=True, citations=1)
        await until(lambda: fleet.value('waggle_queries_total{outcome="answered"}') == 1)
        assert fleet.value("waggle_queries_accepted_total") == 1
        assert fleet.value("waggle_query_duration_seconds_count") == 1
    assert fleet.intake.malformed.counts.total() == 0
    assert fleet.listener.dropped == 0


async def test_stranded_messages_and_the_brokers_storage_are_seen(fleet: Listening, broker: Broker) -> None:
    await submit(broker)
    await submit(broker)
    ingest = '{stream="INGEST",consumer="ingest"}'
    await until(lambda: fleet.value(f"waggle_consumer_pending{ingest}") == 2)
    assert fleet.value(f"waggle_consumer_stranded{ingest}") == 0
    assert (fleet.value(f"waggle_consumer_oldest_seconds{ingest}") or 0) > 0
    await until(lambda: fleet.value('waggle_stream_messages{stream="INGEST"}') == 2)
    assert fleet.value('waggle_stream_limit_bytes{stream="INGEST"}') == topology.INGEST.max_bytes

    await use_up(broker, topology.INGEST_WORKERS, messages=2)
    await submit(broker)
    await until(lambda: fleet.value(f"waggle_consumer_stranded{ingest}") == 2)
    await until(lambda: fleet.value('sum(waggle_advisories_total{kind="max_deliveries",consumer="ingest"})') == 2)
    await until(lambda: fleet.value(f"waggle_consumer_pending{ingest}") == 1)
    assert fleet.value("waggle_broker_up") == 1
    assert (fleet.value("waggle_broker_storage_bytes") or 0) > 0
    assert fleet.value("waggle_dead_letters") == 0
    assert len(fleet.all("waggle_stream_bytes")) == len(topology.STREAMS)
    assert len(fleet.all("waggle_consumer_waiting")) == len(topology.CONSUMERS)
    assert {labels["stream"] for labels in fleet.all("waggle_consumer_stranded")} == {
        "INGEST", "EMBED", "QUERY", "GENERATE",
    }  # fmt: skip


async def test_a_broker_that_is_away_is_told_and_nothing_stale(
    fleet: Listening, broker: Broker, nats_server: NatsServer
) -> None:
    await until(lambda: fleet.value("waggle_broker_up") == 1)
    nats_server.kill()
    await until(lambda: fleet.value("waggle_broker_up") == 0)
    assert fleet.all('{__name__=~"waggle_(stream|consumer)_.*"}') == {}
    nats_server.start()
    await until(lambda: broker.is_connected)
    await until(lambda: fleet.value("waggle_broker_up") == 1)
    await Events(broker).query(QueryFact.CANCELLED, tenant="t", query_id="q")
    await until(lambda: fleet.value('waggle_queries_total{outcome="cancelled"}') == 1)


async def test_ten_thousand_malformed_messages_of_each_kind_cost_nothing(
    fleet: Listening,
    broker: Broker,
    broker_settings: BrokerSettings,
    worker: WorkerApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    kinds = {
        "heartbeat": "rag.health.embed.x",
        "sample": "rag.metrics.embed.x",
        "event": "rag.events.query.failed.t",
        "advisory": "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.c",
    }
    flood = await Broker.connect(broker_settings, name="flood")
    with capture_logs() as lines:
        for number in range(10_000):
            for subject in kinds.values():
                await flood.nc.publish(subject, b'{"broken": %d' % number)
            if number % 500 == 0:
                await flood.nc.flush()
        await until(
            lambda: sum(fleet.intake.malformed.counts[kind] for kind in kinds) + fleet.listener.dropped == 40_000,
            timeout_s=60,
        )
    await flood.close()
    assert fleet.listener.dropped == 0
    assert dict(fleet.intake.malformed.counts) == dict.fromkeys(kinds, 10_000) | {"misaddressed": 0}
    assert len([line for line in lines if line["event"] == "cannot be read"]) == 5 * len(kinds)
    async with running(worker):
        await until(lambda: fleet.value('waggle_up{service="tested"}') == 1)


async def test_what_comes_faster_than_it_is_taken_is_dropped_and_counted(
    broker: Broker, broker_settings: BrokerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.intake.MOST_PENDING", 1)
    flood = await Broker.connect(broker_settings, name="flood")
    with capture_logs() as lines:
        async with listening_intake(broker) as fleet:
            for _ in range(2000):
                await flood.nc.publish("rag.health.embed.x", b"")
            await flood.nc.flush()
            await until(lambda: fleet.intake.malformed.counts["heartbeat"] + fleet.listener.dropped == 2000)
            assert fleet.listener.dropped > 0
    assert 1 <= len([line for line in lines if line["event"].startswith("messages come faster")]) <= 4
    await flood.close()
