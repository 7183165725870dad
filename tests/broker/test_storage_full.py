"""The broker has no storage left: said as what it is, nothing is promised, and all goes on when there is room again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.documents import PurgeRequest
from contracts.settings import AllSettings, BrokerSettings
from contracts.topology import MiB, Topology
from deploy.checkup import broker as checkup
from deploy.checkup.finding import Level
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.errors import BrokerFullError
from messaging.ledger import DocumentLedger
from messaging.provisioning import provision
from messaging.storage import Storage
from tests.support.gateways import Gateway, running_gateway
from tests.support.purges import CONSUMER, QUICK, left, send
from tests.support.waiting import until
from tests.support.workers import running

ROOM = 16 * MiB
FILLER = "rag.alerts.filler"
RESULT = "rag.events.document.ready.t"
DOCUMENT = {"document_id": "bees", "name": "bees.txt", "text": "Bees dance."}


@pytest.fixture
async def nats_server(tmp_path: Path, table: Topology) -> AsyncIterator[NatsServer]:
    """A server with all streams, and room for 16 MiB in all: its limit works as a full disk does, without one."""
    with NatsServer(tmp_path / "nats") as roomy:
        broker = await Broker.connect(BrokerSettings(nats_url=roomy.url), name="test", on_closed=lambda: None)
        await provision(broker, table)
        await broker.close()
    with NatsServer(tmp_path / "nats", max_store_bytes=ROOM) as server:
        yield server


@pytest.fixture
async def gateway(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as started:
        await started.ready()
        yield started


async def fill(broker: Broker) -> None:
    """Store what nobody needs until nothing more is taken, not even a little."""
    for size in (900_000, 10_000, 1):
        with pytest.raises(BrokerFullError):
            await _store_without_end(broker, size)


async def _store_without_end(broker: Broker, size: int) -> None:
    while True:
        await broker.publish_bytes(FILLER, b"x" * size, stream="OPS")


async def make_room(broker: Broker) -> None:
    await Storage(broker).purge("OPS", FILLER)


async def test_the_gateway_says_so_promises_nothing_and_goes_on_when_there_is_room(
    broker: Broker, gateway: Gateway
) -> None:
    await fill(broker)
    for path, body in (("/v1/documents", DOCUMENT), ("/v1/query", {"query": "Dance?"})):
        response = await gateway.http.post(path, json=body)
        assert (path, response.status_code) == (path, 503)
        assert response.json()["code"] == "storage_full"
        assert "no storage left" in response.json()["detail"]
        assert response.headers["retry-after"].isdecimal()
    assert await DocumentLedger(broker).get("default", "bees") is None
    await make_room(broker)
    assert (await gateway.http.post("/v1/documents", json=DOCUMENT)).status_code == 202


async def test_a_worker_holds_its_message_until_its_result_can_be_stored(broker: Broker, worker: WorkerApp) -> None:
    tries: list[int] = []

    @worker.consumes(CONSUMER, PurgeRequest, delays=QUICK)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        tries.append(delivery.attempt)
        await worker.broker.publish_bytes(RESULT, b"result", stream="EVENTS")

    await send(broker, "a")
    await fill(broker)
    async with running(worker):
        await until(lambda: len(tries) > 1)
        assert await left(broker) == 1
        await make_room(broker)
        await until(lambda: _nothing_left(broker))
    assert await Storage(broker).count("EVENTS", RESULT) == 1
    assert await Storage(broker).count("DLQ", ">") == 0


async def test_the_doctor_names_it(broker: Broker, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", nats_server.url)
    settings = AllSettings.load()
    await fill(broker)
    (storage,) = [f for f in await checkup.connection(settings) if f.check == "storage"]
    assert (storage.level, "max_file_store" in storage.detail) == (Level.FAIL, True)
    await make_room(broker)
    (storage,) = [f for f in await checkup.connection(settings) if f.check == "storage"]
    assert storage.level is Level.OK


async def _nothing_left(broker: Broker) -> bool:
    return await left(broker) == 0
