"""While a backend is away messages are held, not failed: whatever the length of the outage, no attempt is used up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.documents import PurgeRequest
from contracts.health import BackendCheck
from contracts.settings import BrokerSettings, ProcessSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.breaker import Breaker, BreakerState
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.fleet import FleetView
from messaging.gathering import BatchItem
from messaging.ledger import DocumentLedger
from messaging.middlewares.base import Next
from tests.support import worker_process
from tests.support.backends import BRISK_PROBING, Backend, unanswered
from tests.support.letters import dead_letters
from tests.support.outages import outage
from tests.support.processes import started
from tests.support.purges import CONSUMER, QUICK, left, send
from tests.support.topologies import BRISK_ACK_WAIT_S, brisk
from tests.support.waiting import until
from tests.support.workers import running

OUTAGE_S = 2.5 * BRISK_ACK_WAIT_S
"""Nine attempts with the delays of `QUICK` take less."""
BAD = "bad"
FEW_ATTEMPTS = 4
"""As many as questions have."""
RESTARTS = 6


class Journal:
    """What was done, and with which attempt each message came."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.attempts: dict[str, list[int]] = {}

    def begun(self, request: PurgeRequest, delivery: Delivery) -> None:
        self.attempts.setdefault(request.document_id, []).append(delivery.attempt)

    @property
    def tries(self) -> int:
        """How often the handler was called."""
        return sum(map(len, self.attempts.values()))


@pytest.fixture
def backend() -> Backend:
    return Backend(bad=frozenset({BAD}))


@pytest.fixture
def breaker(worker: WorkerApp, backend: Backend) -> Breaker:
    return worker.breaker("index", backend.look, probing=BRISK_PROBING)


@pytest.fixture
def journal() -> Journal:
    return Journal()


Handle = Callable[[PurgeRequest, Delivery], Awaitable[None]]


@pytest.fixture
def handle(backend: Backend, breaker: Breaker, journal: Journal) -> Handle:
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        journal.begun(request, delivery)
        async with breaker:
            await backend.call(request.document_id)
        journal.done.append(request.document_id)

    return handle


async def in_hand(broker: Broker) -> tuple[int, int, int]:
    """Messages in hand, messages that wait, messages that came again."""
    info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
    return info.num_ack_pending or 0, info.num_pending or 0, info.num_redelivered or 0


@asynccontextmanager
async def away(backend: Backend, breaker: Breaker) -> AsyncIterator[None]:
    """The body runs while the backend is away and somebody has noticed it."""
    backend.away = True
    await until(lambda: breaker.state is not BreakerState.CLOSED)
    try:
        yield
    finally:
        backend.away = False


class TestOutage:
    async def test_nothing_is_dead_lettered_and_no_attempt_is_used_up(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker, journal: Journal, handle: Handle
    ) -> None:
        worker.consumes(CONSUMER, PurgeRequest, concurrency=2, delays=QUICK)(handle)
        names = [f"d{n}" for n in range(6)]
        backend.away = True
        async with running(worker):
            await send(broker, *names)
            async with away(backend, breaker):
                await asyncio.sleep(OUTAGE_S)
                assert await in_hand(broker) == (2, 4, 0)  # two are held, nothing more is taken, none came again
            await until(lambda: _emptied(broker))
        assert sorted(journal.done) == names
        assert {attempt for attempts in journal.attempts.values() for attempt in attempts} == {1}
        assert await dead_letters(broker) == []

    async def test_the_same_without_a_hold_dead_letters_them(
        self,
        broker: Broker,
        worker: WorkerApp,
        backend: Backend,
        breaker: Breaker,
        handle: Handle,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Why `Hold` exists."""

        async def pass_on(self: object, incoming: object, call_next: Next) -> None:
            await call_next(incoming)  # type: ignore[arg-type]

        monkeypatch.setattr("messaging.middlewares.hold.Hold.__call__", pass_on)
        worker.consumes(CONSUMER, PurgeRequest, concurrency=2, delays=QUICK)(handle)
        backend.away = True
        async with running(worker):
            await send(broker, "a", "b")
            async with away(backend, breaker):
                await until(lambda: _emptied(broker))
        assert len(await dead_letters(broker)) == 2

    async def test_a_time_limit_does_not_pass_meanwhile(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker, journal: Journal, handle: Handle
    ) -> None:
        worker.consumes(CONSUMER, PurgeRequest, time_limit_s=0.3, delays=QUICK)(handle)
        backend.away = True
        async with running(worker):
            await send(broker, "a")
            async with away(backend, breaker):
                await asyncio.sleep(2 * BRISK_ACK_WAIT_S)
            await until(lambda: journal.done == ["a"])
        assert set(journal.attempts["a"]) == {1}

    async def test_a_deadline_does_and_ends_the_message_as_ever(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker, journal: Journal, handle: Handle
    ) -> None:
        expired: list[str] = []

        async def on_expired(request: PurgeRequest, delivery: Delivery) -> None:
            expired.append(request.document_id)

        worker.consumes(
            CONSUMER,
            PurgeRequest,
            concurrency=2,
            deadline_of=lambda _, delivery: delivery.published_at + timedelta(seconds=1),
            on_expired=on_expired,
        )(handle)
        backend.away = True
        async with running(worker):
            await send(broker, "a", "b", "c", "d")
            async with away(backend, breaker):
                await until(lambda: _emptied(broker))
        assert sorted(expired) == ["a", "b", "c", "d"]
        assert journal.done == []
        assert await dead_letters(broker) == []


class TestPoison:
    async def test_a_message_that_fails_while_others_succeed_is_dead_lettered_once(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker, journal: Journal, handle: Handle
    ) -> None:
        changes: list[BreakerState] = []
        breaker.on_change(lambda changed: changes.append(changed.state))
        worker.consumes(CONSUMER, PurgeRequest, concurrency=2, delays=QUICK)(handle)
        async with running(worker):
            await send(broker, "a", BAD, "b", "c")
            await until(lambda: _emptied(broker))
        assert sorted(journal.done) == ["a", "b", "c"]
        (letter,) = await dead_letters(broker)
        assert PurgeRequest.from_bytes(letter.payload).document_id == BAD
        assert letter.attempts == CONSUMER.attempts
        assert changes == []

    async def test_alone_it_is_dead_lettered_too_also_after_an_outage(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker, journal: Journal, handle: Handle
    ) -> None:
        worker.consumes(CONSUMER, PurgeRequest, delays=QUICK)(handle)
        backend.away = True
        async with running(worker):
            await send(broker, BAD)
            async with away(backend, breaker):
                await asyncio.sleep(OUTAGE_S)
                assert await dead_letters(broker) == []
            await until(lambda: _emptied(broker))
            await send(broker, "after")
            await until(lambda: journal.done == ["after"])
        assert len(await dead_letters(broker)) == 1
        assert breaker.state is BreakerState.CLOSED


class TestBatches:
    async def test_held_messages_are_handled_together_again_and_others_are_not_repeated(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker
    ) -> None:
        batches: list[list[tuple[str, int]]] = []

        @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.2, time_limit_s=0.5, delays=QUICK)
        async def handle(items: list[BatchItem[PurgeRequest]]) -> None:
            batches.append(sorted((item.message.document_id, item.delivery.attempt) for item in items))
            for item in items:
                if item.message.document_id == "quick":
                    item.done()
            async with breaker:
                await backend.call("the rows of all")

        backend.away = True
        async with running(worker):
            await send(broker, "a", "b", "quick")
            async with away(backend, breaker):
                await asyncio.sleep(OUTAGE_S)
                assert await in_hand(broker) == (2, 0, 0)
            await until(lambda: _emptied(broker))
        assert batches[0] == [("a", 1), ("b", 1), ("quick", 1)]
        assert batches[1:] == [[("a", 1), ("b", 1)]]
        assert await dead_letters(broker) == []

    async def test_one_message_may_be_held_while_its_batch_goes_on(
        self, broker: Broker, worker: WorkerApp, backend: Backend, breaker: Breaker
    ) -> None:
        batches: list[list[str]] = []

        @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=4, gather_s=0.2, delays=QUICK)
        async def handle(items: list[BatchItem[PurgeRequest]]) -> None:
            batches.append(sorted(item.message.document_id for item in items))
            for item in items:
                try:
                    if item.message.document_id == "needy":
                        async with breaker:
                            await backend.call("x")
                except Exception as error:  # noqa: BLE001 (the error's class decides)
                    item.fail(error)

        backend.away = True
        async with running(worker):
            await send(broker, "needy", "a", "b")
            async with away(backend, breaker):
                await until(lambda: _is_left(broker, 1))
            await until(lambda: _emptied(broker))
        assert batches == [["a", "b", "needy"], ["needy"]]


class TestTelling:
    async def test_heartbeats_tell_the_state_of_the_breaker(
        self,
        broker: Broker,
        worker: WorkerApp,
        backend: Backend,
        breaker: Breaker,
        handle: Handle,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.05)
        worker.consumes(CONSUMER, PurgeRequest)(handle)
        view = FleetView(broker)
        await view.start()

        def told() -> BackendCheck | None:
            checks = [check for member in view.members() for check in member.heartbeat.checks if check.name == "index"]
            return checks[0] if checks else None

        def says(status: str, detail: str) -> bool:
            check = told()
            return check is not None and check.status.value == status and check.detail.startswith(detail)

        backend.away = True
        async with running(worker):
            await until(lambda: says("ok", "breaker closed"))
            await send(broker, "a")
            await until(lambda: says("failing", "breaker open: OSError: connection refused"))
            backend.away = False
            await until(lambda: says("ok", "breaker closed"))
        await view.stop()


class TestSigterm:
    @pytest.fixture
    def table(self) -> Topology:
        return brisk(ack_wait_s=60.0)

    async def test_a_held_message_goes_back_at_once(self, broker: Broker, broker_settings: BrokerSettings) -> None:
        settings = {"WAGGLE_NATS_URL": broker_settings.nats_url, "WAGGLE_DRAIN_TIMEOUT_S": "120"}
        async with started(
            "tests.support.worker_process", **settings, **{worker_process.AWAY_VARIABLE: "yes"}
        ) as worker:
            await worker.says("ready")
            await send(broker, "a", "b", "c")
            await until(lambda: len([line for line in worker.lines if line.startswith("started")]) >= 2)
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0  # within 30 s: the drain waited for none of them
        async with started("tests.support.worker_process", **settings) as worker:
            for name in ("a", "b", "c"):
                await worker.says(f"done {name}")
        assert await dead_letters(broker) == []

    async def test_more_restarts_than_attempts_within_an_outage_give_nothing_up(
        self, broker: Broker, process_settings: ProcessSettings, table: Topology, backend: Backend, journal: Journal
    ) -> None:
        """As when workers are replaced one after another, and each hands on to the next."""
        names = ["a", "b", "c"]
        await send(broker, *names)
        for restart in range(RESTARTS + 1):
            backend.away = restart < RESTARTS
            worker = WorkerApp(process_settings, service="tested", table=table)
            breaker = worker.breaker("index", backend.look, probing=BRISK_PROBING)
            _take(worker, breaker, backend, journal)
            async with running(worker):
                if backend.away:
                    await until(lambda: breaker.state is not BreakerState.CLOSED)  # noqa: B023 (awaited here)
                else:
                    await until(lambda: _emptied(broker))
        assert sorted(journal.done) == names
        assert max(map(max, journal.attempts.values())) > FEW_ATTEMPTS
        assert await dead_letters(broker) == []


def _take(worker: WorkerApp, breaker: Breaker, backend: Backend, journal: Journal) -> None:
    @worker.consumes(replace(CONSUMER, attempts=FEW_ATTEMPTS), PurgeRequest, concurrency=3, delays=QUICK)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        journal.begun(request, delivery)
        async with breaker:
            await backend.call(request.document_id)
        journal.done.append(request.document_id)


class TestBroker:
    """A broker that is away is nobody's failure either."""

    @pytest.fixture
    def table(self) -> Topology:
        return brisk(max_deliver=4)

    async def test_a_part_of_it_that_does_not_answer_uses_up_no_attempt(
        self, broker: Broker, worker: WorkerApp, journal: Journal
    ) -> None:
        worker.consumes(CONSUMER, PurgeRequest, concurrency=2, delays=QUICK)(self._reading(worker, journal))
        async with running(worker):
            with unanswered("KV_documents"):
                await send(broker, "a", "b", "c")
                await until(lambda: len(journal.attempts) == 2)
                await asyncio.sleep(OUTAGE_S)
                assert await in_hand(broker) == (2, 1, 0)
            await until(lambda: _emptied(broker))
        assert sorted(journal.done) == ["a", "b", "c"]
        assert {attempt for attempts in journal.attempts.values() for attempt in attempts} == {1}
        assert await dead_letters(broker) == []

    async def test_restarts_dead_letter_nothing(
        self, broker: Broker, worker: WorkerApp, journal: Journal, nats_server: NatsServer
    ) -> None:
        worker.consumes(CONSUMER, PurgeRequest, concurrency=2, delays=QUICK)(self._reading(worker, journal))
        names = [f"d{n}" for n in range(6)]
        async with running(worker):
            with unanswered("KV_documents"):
                await send(broker, *names)
                await until(lambda: len(journal.attempts) == 2)
                for _ in range(2):
                    async with outage(nats_server, broker, worker.broker):
                        await asyncio.sleep(OUTAGE_S)
                    tries = journal.tries
                    await until(lambda: journal.tries >= tries + 4, timeout_s=60)  # noqa: B023 (awaited here)
            await until(lambda: _emptied(broker), timeout_s=60)
        assert sorted(set(journal.done)) == names
        assert await dead_letters(broker) == []

    def _reading(self, worker: WorkerApp, journal: Journal) -> Handle:
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            journal.begun(request, delivery)
            await DocumentLedger(worker.broker).get("default", request.document_id)
            journal.done.append(request.document_id)

        return handle


async def _emptied(broker: Broker) -> bool:
    return await left(broker) == 0


async def _is_left(broker: Broker, count: int) -> bool:
    return await left(broker) == count
