"""The broker has no storage left: said as what it is, nothing is promised, and all goes on when there is room again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.documents import PurgeRequest
from contracts.errors import PermanentError, TransientError
from contracts.settings import AllSettings, BrokerSettings, ProcessSettings
from contracts.topology import MiB, Topology
from deploy.checkup import broker as checkup
from deploy.checkup.finding import Level
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.attempts import UNSUSPECTED_DELIVERIES
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.errors import BrokerFullError
from messaging.gathering import BatchItem
from messaging.ledger import DocumentLedger
from messaging.provisioning import provision
from messaging.storage import Storage
from tests.support.gateways import Gateway, running_gateway
from tests.support.purges import CONSUMER, QUICK, left, send, send_bytes
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running

ROOM = 16 * MiB
FILLER = "rag.alerts.filler"
RESULT = "rag.events.document.ready.t"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LONG_ACK_WAIT_S = 600.0
"""So long that what comes again before it has been given back, not timed out."""
TRIES = 4
"""Pauses between them are longer than an ack wait in all."""
DOCUMENT = {"document_id": "bees", "name": "bees.txt", "text": "Bees dance."}


@pytest.fixture
def table() -> Topology:
    return brisk()


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


async def test_what_has_expired_is_held_until_its_end_can_be_stored(broker: Broker, worker: WorkerApp) -> None:
    """It came again and again instead, until its deliveries were used up: a dead letter, and nobody was to blame."""
    tries: list[int] = []

    async def end(request: PurgeRequest, delivery: Delivery) -> None:
        tries.append(delivery.attempt)
        await worker.broker.publish_bytes(RESULT, b"expired", stream="EVENTS")

    @worker.consumes(CONSUMER, PurgeRequest, delays=QUICK, deadline_of=lambda *_: LONG_AGO, on_expired=end)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        raise AssertionError("nobody waits for it")

    await send(broker, "a")
    await fill(broker)
    async with running(worker):
        await until(lambda: len(tries) >= TRIES)
        assert set(tries) == {1}
        await make_room(broker)
        await until(lambda: _nothing_left(broker))
    assert set(tries) == {1}
    assert await Storage(broker).count("EVENTS", RESULT) == 1
    assert await Storage(broker).count("DLQ", ">") == 0


async def test_what_is_given_up_is_held_until_its_letter_can_be_stored(broker: Broker, worker: WorkerApp) -> None:
    given_up: list[int] = []

    async def tell(request: PurgeRequest, error: PermanentError) -> None:
        given_up.append(1)

    @worker.consumes(CONSUMER, PurgeRequest, delays=QUICK, on_dead_letter=tell)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        handled.append(delivery.attempt)
        raise PermanentError("no repetition helps")

    handled: list[int] = []
    await send(broker, "a")
    await fill(broker)
    async with running(worker):
        await until(lambda: len(given_up) >= TRIES)
        await make_room(broker)
        await until(lambda: _nothing_left(broker))
    assert handled == [1]
    assert await Storage(broker).count("DLQ", ">") == 1


async def test_what_is_held_like_that_keeps_no_other_of_its_batch_waiting(broker: Broker, worker: WorkerApp) -> None:
    batches: list[list[tuple[str, int]]] = []

    @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=3, gather_s=0.3, delays=QUICK)
    async def handle(items: list[BatchItem[PurgeRequest]]) -> None:
        batches.append(sorted((item.message.document_id, item.delivery.attempt) for item in items))

    await send_bytes(broker, b"no message at all")
    await send(broker, "a", "b")
    await fill(broker)
    async with running(worker):
        await until(lambda: _is_left(broker, 1))
        assert batches == [[("a", 1), ("b", 1)]]
        await make_room(broker)
        await until(lambda: _nothing_left(broker))
    assert batches == [[("a", 1), ("b", 1)]]
    assert await Storage(broker).count("DLQ", ">") == 1


class TestEndOfTheProcess:
    """What is held goes back at once, to whoever takes over."""

    @pytest.fixture
    def table(self) -> Topology:
        return brisk(ack_wait_s=LONG_ACK_WAIT_S)

    @pytest.mark.parametrize("failures", [0, UNSUSPECTED_DELIVERIES], ids=["at first", "as a suspect"])
    async def test_while_it_cannot_be_given_up(
        self, broker: Broker, worker: WorkerApp, process_settings: ProcessSettings, table: Topology, failures: int
    ) -> None:
        given_up: list[int] = []
        handed_on: list[int] = []

        async def tell(request: PurgeRequest, error: PermanentError) -> None:
            given_up.append(1)

        @worker.consumes(CONSUMER, PurgeRequest, delays=QUICK, on_dead_letter=tell)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            if delivery.attempt <= failures:
                raise TransientError("not now")
            await fill(broker)
            raise PermanentError("no repetition helps")

        await send(broker, "a")
        async with running(worker):
            await until(lambda: len(given_up) > 1)
        await make_room(broker)
        successor = WorkerApp(process_settings, service="tested", table=table)

        @successor.consumes(CONSUMER, PurgeRequest)
        async def take(request: PurgeRequest, delivery: Delivery) -> None:
            handed_on.append(delivery.attempt)

        async with running(successor):
            await until(lambda: _nothing_left(broker))
        assert handed_on == [failures + 2]


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


async def _is_left(broker: Broker, count: int) -> bool:
    return await left(broker) == count
