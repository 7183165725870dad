"""A broker that is not as Waggle needs it: absent, too small for a message, or changed behind its back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from contracts.documents import PurgeRequest
from contracts.settings import AllSettings, BrokerSettings, ProcessSettings
from contracts.topology import EVENTS, Topology
from deploy.checkup import broker as checkup
from deploy.checkup.finding import Finding, Level
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.drift import drift
from messaging.errors import ProvisioningError
from messaging.provisioning import provision
from tests.support.gateways import running_gateway
from tests.support.purges import CONSUMER, send
from tests.support.waiting import until

SMALL = "max_payload: 4096\n"


async def found(server: NatsServer, monkeypatch: pytest.MonkeyPatch, check: str) -> Finding:
    monkeypatch.setenv("WAGGLE_NATS_URL", server.url)
    (finding,) = [f for f in await checkup.connection(AllSettings.load()) if f.check == check]
    return finding


class TestAbsentAtStart:
    async def test_a_worker_says_what_it_waits_for_and_works_when_it_comes(
        self, nats_server: NatsServer, broker: Broker, table: Topology
    ) -> None:
        await send(broker, "a")
        await broker.close()
        nats_server.stop()
        done: list[str] = []
        settings = ProcessSettings(nats_url=nats_server.url, instance="w")
        worker = WorkerApp(settings, service="tested", table=table)

        @worker.consumes(CONSUMER, PurgeRequest)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            done.append(request.document_id)

        with structlog.testing.capture_logs() as logs:
            life = asyncio.create_task(worker.run(handle_signals=False))
            await until(lambda: any(line["event"] == "waiting for the broker" for line in logs))
            said = [line for line in logs if line["event"] == "waiting for the broker"]
            assert "start the broker, or correct WAGGLE_NATS_URL" in said[0]["advice"]
            assert nats_server.url in said[0]["advice"]
            nats_server.start()
            await until(lambda: done == ["a"], timeout_s=60)
        assert sum(line["event"] == "waiting for the broker" for line in logs) == 1
        worker.stop()
        assert await life == 0


class TestTooSmallForAMessage:
    async def test_provisioning_refuses_and_the_doctor_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with NatsServer(tmp_path / "nats", extra_config=SMALL) as server:
            broker = await Broker.connect(BrokerSettings(nats_url=server.url), name="test", on_closed=lambda: None)
            with pytest.raises(ProvisioningError, match=r"4096 bytes at most.*max_payload: 1MB"):
                await provision(broker)
            await broker.close()
            finding = await found(server, monkeypatch, "max_payload")
            assert (finding.level, "max_payload: 1MB" in finding.detail) == (Level.FAIL, True)

    async def test_a_question_that_does_not_fit_is_413_and_the_next_one_is_taken(
        self, tmp_path: Path, table: Topology
    ) -> None:
        with NatsServer(tmp_path / "nats") as large:
            broker = await Broker.connect(BrokerSettings(nats_url=large.url), name="test", on_closed=lambda: None)
            await provision(broker, table)
            await broker.close()
        with NatsServer(tmp_path / "nats", extra_config=SMALL) as server:
            async with running_gateway(server.url) as gateway:
                await gateway.ready()
                refused = await gateway.http.post("/v1/query", json={"query": "蜂" * 1500})
                assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
                assert "the broker's limit of 4096" in refused.json()["detail"]
                document = {"name": "bees.txt", "text": "Bees dance."}
                assert (await gateway.http.post("/v1/documents", json=document)).status_code == 202


class TestDrift:
    async def test_what_was_changed_or_deleted_is_named_and_provisioning_sets_it_right(
        self, broker: Broker, table: Topology, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert await drift(broker, table) == []
        config = (await broker.js.stream_info("EVENTS")).config
        await broker.js.update_stream(replace(config, max_age=60, duplicate_window=60))
        await broker.js.delete_stream("OPS")
        await broker.js.delete_consumer(CONSUMER.stream.name, CONSUMER.durable)
        ingest = (await broker.js.consumer_info("INGEST", "ingest")).config
        await broker.js.add_consumer("INGEST", replace(ingest, max_deliver=2))
        named = await drift(broker, table)
        assert f"stream EVENTS: max_age 60.0 -> {EVENTS.max_age_s}" in named[0]
        assert named[1:] == [
            "stream OPS is missing",
            "consumer INGEST/ingest: max_deliver 2.0 -> 100.0",
            f"consumer {CONSUMER.stream.name}/{CONSUMER.durable} is missing",
            "consumer OPS/operator is missing",
        ]
        finding = await found(nats_server, monkeypatch, "topology")
        assert finding.level is Level.FAIL
        assert "stream OPS is missing" in finding.detail
        assert "waggle provision" in finding.advice
        assert len(await provision(broker, table)) == 5
        assert await drift(broker, table) == []
