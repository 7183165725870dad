"""How a worker ends: nothing is lost, nothing is done twice, and the exit code says how it went."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AbstractAsyncContextManager

import pytest

from contracts.documents import PurgeRequest
from contracts.errors import PermanentError
from contracts.settings import BrokerSettings
from contracts.settings_source import ConfigurationError
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from tests.support import worker_process
from tests.support.processes import Running, started
from tests.support.purges import CONSUMER, left, send
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running


def worker_on(
    settings: BrokerSettings, *, handler_s: float, concurrency: int = 2, drain_timeout_s: float = 10
) -> AbstractAsyncContextManager[Running]:
    return started(
        "tests.support.worker_process",
        WAGGLE_NATS_URL=settings.nats_url,
        WAGGLE_DRAIN_TIMEOUT_S=str(drain_timeout_s),
        **{
            worker_process.HANDLER_VARIABLE: str(handler_s),
            worker_process.CONCURRENCY_VARIABLE: str(concurrency),
        },
    )


LONG_ACK_WAIT_S = 60.0
"""So long that what comes again before it has been given back, not timed out."""


class TestSigterm:
    @pytest.fixture
    def table(self) -> Topology:
        return brisk(ack_wait_s=LONG_ACK_WAIT_S)

    async def test_work_in_hand_is_finished_and_none_is_taken(
        self, broker: Broker, broker_settings: BrokerSettings
    ) -> None:
        async with worker_on(broker_settings, handler_s=1.5) as worker:
            await worker.says("ready")
            await send(broker, *(f"d{n}" for n in range(10)))
            await until(lambda: len(worker.lines) >= 3)
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0
        began = [line for line in worker.lines if line.startswith("started")]
        done = [line for line in worker.lines if line.startswith("done")]
        assert len(began) == len(done) == 2
        info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
        assert (info.num_ack_pending, info.num_pending, info.num_redelivered) == (0, 8, 0)

    async def test_under_load_nothing_is_delivered_twice(self, broker: Broker, broker_settings: BrokerSettings) -> None:
        """Signals at any moment, also while messages are between broker and worker."""
        sent = 0
        for _ in range(3):
            async with worker_on(broker_settings, handler_s=0.002, concurrency=8) as worker:
                await worker.says("ready")
                await send(broker, *(f"d{sent + n}" for n in range(300)))
                sent += 300
                await until(lambda: len(worker.lines) > 100)
                worker.signal(signal.SIGTERM)
                assert await worker.ends() == 0
            attempts = {line.split()[2] for line in worker.lines if line.startswith("started")}
            assert attempts == {"1"}
            await until(lambda: _all_acknowledged(broker))

    async def test_work_that_does_not_finish_in_time_goes_back_at_once(
        self, broker: Broker, broker_settings: BrokerSettings
    ) -> None:
        async with worker_on(broker_settings, handler_s=60, drain_timeout_s=0.3) as worker:
            await worker.says("ready")
            await send(broker, "a")
            await worker.says("started a 1")
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0
        async with worker_on(broker_settings, handler_s=0) as worker:
            await worker.says("done a", timeout_s=LONG_ACK_WAIT_S / 2)
        assert "started a 2" in worker.lines

    async def test_it_ends_well_while_the_broker_is_away(
        self, broker: Broker, broker_settings: BrokerSettings, nats_server: NatsServer
    ) -> None:
        async with worker_on(broker_settings, handler_s=0) as worker:
            await worker.says("ready")
            nats_server.kill()
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0

    async def test_it_ends_well_before_there_ever_was_a_broker(self) -> None:
        async with worker_on(BrokerSettings(nats_url="nats://127.0.0.1:9"), handler_s=0) as worker:
            await until(lambda: any("waiting for the broker" in line for line in worker.lines + worker.errors))
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0


class TestKill:
    async def test_a_killed_workers_message_is_done_by_another(
        self, broker: Broker, broker_settings: BrokerSettings
    ) -> None:
        async with worker_on(broker_settings, handler_s=60) as worker:
            await worker.says("ready")
            await send(broker, "a")
            await worker.says("started a 1")
            worker.signal(signal.SIGKILL)
            await worker.ends()
        async with worker_on(broker_settings, handler_s=0) as worker:
            await worker.says("done a")
        assert "started a 2" in worker.lines
        await until(lambda: _emptied(broker))


class TestHooks:
    async def test_they_run_in_order_around_the_work(self, broker: Broker, worker: WorkerApp) -> None:
        story: list[str] = []

        @worker.on_startup
        async def start() -> None:
            assert worker.broker.is_connected
            story.append("start")

        @worker.on_shutdown
        async def shut() -> None:
            assert worker.broker.is_connected
            story.append("shut")

        async def beside() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                story.append("background ended")

        worker.background("beside", beside)

        @worker.consumes(CONSUMER, PurgeRequest)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            story.append("work")

        async with running(worker):
            await send(broker, "a")
            await until(lambda: "work" in story)
        assert story == ["start", "work", "shut", "background ended"]

    async def test_a_failing_start_ends_the_process_with_an_error(self, broker: Broker, worker: WorkerApp) -> None:
        @worker.on_startup
        async def start() -> None:
            raise OSError("no model")

        assert await worker.run(handle_signals=False) == 1

    @pytest.mark.parametrize("kind", [ConfigurationError, PermanentError])
    async def test_one_that_fails_for_its_settings_says_so_by_its_exit_code(
        self, broker: Broker, worker: WorkerApp, kind: type[Exception]
    ) -> None:
        @worker.on_startup
        async def start() -> None:
            raise kind("no such model: check WAGGLE_ENCODER_MODEL")

        assert await worker.run(handle_signals=False) == 2

    async def test_failing_background_work_ends_the_process_with_an_error(
        self, broker: Broker, worker: WorkerApp
    ) -> None:
        async def beside() -> None:
            raise OSError("the index is gone")

        worker.background("beside", beside)
        assert await worker.run(handle_signals=False) == 1

    async def test_a_start_that_takes_long_can_be_interrupted(self, broker: Broker, worker: WorkerApp) -> None:
        starting = asyncio.Event()

        @worker.on_startup
        async def start() -> None:
            starting.set()
            await asyncio.Event().wait()

        life = asyncio.create_task(worker.run(handle_signals=False))
        await starting.wait()
        worker.stop()
        async with asyncio.timeout(60):
            assert await life == 0


async def test_a_worker_that_leaves_a_pull_request_open_strands_the_message_that_answers_it(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why `Carrier.withdraw` exists: nobody listens any more, and the message waits out its ack wait."""

    async def not_withdrawn(self: object) -> None: ...

    monkeypatch.setattr("messaging.carrier.Carrier.withdraw", not_withdrawn)
    monkeypatch.setattr("messaging.pulling.PullSubscription.unsubscribe", not_withdrawn)

    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None: ...

    @worker.on_shutdown
    async def late() -> None:
        await send(broker, "late")
        await until(lambda: _pending(broker))

    async with running(worker):
        await send(broker, "early")
        await until(lambda: _emptied(broker))
    assert await left(broker) == 1


async def _emptied(broker: Broker) -> bool:
    return await left(broker) == 0


async def _all_acknowledged(broker: Broker) -> bool:
    """The broker works off acknowledgements after the worker has sent its last one."""
    info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
    return (info.num_ack_pending, info.num_redelivered) == (0, 0)


async def _pending(broker: Broker) -> bool:
    info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
    return bool(info.num_ack_pending == 1)
