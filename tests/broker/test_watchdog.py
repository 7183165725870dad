"""A consumer that vanishes comes back, and its work goes on."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time

import pytest
from opentelemetry.metrics import NoOpMeter

from contracts.documents import PurgeRequest
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging import watchdog
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.errors import BrokerUnavailableError
from messaging.watchdog import Watchdog
from tests.support.purges import CONSUMER, left, send
from tests.support.waiting import until
from tests.support.workers import running


@pytest.fixture
def done(worker: WorkerApp) -> list[str]:
    ids: list[str] = []

    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        ids.append(request.document_id)

    return ids


async def test_a_deleted_consumer_is_restored_as_it_was_and_the_worker_goes_on(
    broker: Broker, worker: WorkerApp, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.WATCH_INTERVAL_S", 0.2)
    before = (await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)).config
    async with running(worker):
        await broker.js.delete_consumer(CONSUMER.stream.name, CONSUMER.durable)
        await send(broker, "a")
        await until(lambda: done == ["a"])
    after = (await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)).config
    assert (after.ack_wait, after.max_deliver, after.max_ack_pending) == (
        before.ack_wait,
        before.max_deliver,
        before.max_ack_pending,
    )


async def test_a_deleted_stream_is_restored_with_its_consumer(
    broker: Broker, worker: WorkerApp, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.WATCH_INTERVAL_S", 0.2)
    async with running(worker):
        await broker.js.delete_stream(CONSUMER.stream.name)
        await until(lambda: _there(broker))
        await send(broker, "a")
        await until(lambda: done == ["a"])


async def test_a_consumer_that_remembers_more_than_its_stream_is_made_anew_when_the_broker_is_back(
    broker: Broker, worker: WorkerApp, done: list[str], nats_server: NatsServer
) -> None:
    """As after a power cut that took messages with it."""
    async with running(worker):
        await send(broker, *"abcde")
        await until(lambda: len(done) == 5)
        await asyncio.to_thread(nats_server.stop)
        _forget_stream(nats_server)
        await asyncio.to_thread(nats_server.start)
        await until(lambda: broker.is_connected)
        await until(lambda: _there(broker))
        await send(broker, "new")
        await until(lambda: "new" in done)


async def test_a_worker_that_starts_makes_such_a_consumer_anew(
    broker: Broker, worker: WorkerApp, done: list[str], nats_server: NatsServer
) -> None:
    await send(broker, *"abcde")
    subscription = await broker.js.pull_subscribe_bind(CONSUMER.durable, CONSUMER.stream.name)
    for message in await subscription.fetch(5):
        await message.ack_sync()
    await subscription.unsubscribe()
    await asyncio.to_thread(nats_server.stop)
    _forget_stream(nats_server)
    await asyncio.to_thread(nats_server.start)
    await until(lambda: broker.is_connected)
    async with running(worker):
        await until(lambda: _there(broker))
        await send(broker, "new")
        await until(lambda: done == ["new"])


async def test_meanwhile_the_worker_neither_spins_nor_starves(
    broker: Broker, worker: WorkerApp, done: list[str]
) -> None:
    """FastStream's own loop asks thousands of times a second here, and the process answers nothing else."""
    async with running(worker):
        await broker.js.delete_consumer(CONSUMER.stream.name, CONSUMER.durable)
        sent_before, began = worker.broker.nc.stats["out_msgs"], time.monotonic()
        await until(lambda: time.monotonic() - began > 2)
        assert worker.broker.nc.stats["out_msgs"] - sent_before < 30


async def test_without_a_watchdog_the_work_stays_undone(broker: Broker, worker: WorkerApp, done: list[str]) -> None:
    """Why it exists: the worker's own interval is far longer than this test."""
    assert watchdog.INTERVAL_S >= 10
    async with running(worker):
        await broker.js.delete_consumer(CONSUMER.stream.name, CONSUMER.durable)
        await send(broker, "a")
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 2)
        assert done == []
        assert await left(broker) == 1


async def test_what_is_there_is_left_alone(broker: Broker, table: Topology) -> None:
    dog = Watchdog(broker, [CONSUMER], table, meter=NoOpMeter("test"))
    await dog.look()
    assert dog.restored == 0


async def test_a_cancellation_that_a_request_swallows_still_ends_the_watch(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def swallowing(**_: object) -> None:
        asked.set()
        with contextlib.suppress(
            asyncio.CancelledError
        ):  # as the client's waits do when the reply comes at that moment
            await asyncio.sleep(60)
        raise BrokerUnavailableError("no answer")

    monkeypatch.setattr(broker.clock, "sync", swallowing)
    watching = asyncio.create_task(Watchdog(broker, [], Topology(), meter=NoOpMeter("test"), interval_s=0).run())
    await asked.wait()
    watching.cancel()
    await until(watching.done)


def _forget_stream(server: NatsServer) -> None:
    """What the broker stores of the stream and its description; what its consumers remember stays."""
    folders = [path.parent for path in server.directory.rglob(f"{CONSUMER.stream.name}/msgs")]
    assert len(folders) == 1
    for part in folders[0].iterdir():
        if part.name == "msgs":
            shutil.rmtree(part)
        elif part.is_file():
            part.unlink()


async def _there(broker: Broker) -> bool:
    names = await broker.js.streams_info()
    if CONSUMER.stream.name not in {info.config.name for info in names}:
        return False
    consumers = await broker.js.consumers_info(CONSUMER.stream.name)
    return CONSUMER.durable in {info.name for info in consumers}
