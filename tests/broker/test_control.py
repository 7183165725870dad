"""A worker does what it is ordered to, once, and says so; no message is lost or doubled by it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import stamina

from contracts import subjects
from contracts.control import MOST_EVIDENCE_BYTES, ControlAction, ControlOrder, ControlOutcome, ControlReply
from contracts.documents import PurgeRequest
from contracts.health import ProcessState
from contracts.identifiers import new_id
from contracts.settings import ProcessSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.control import ControlDesk, NotHeardError
from messaging.delivery import Delivery
from messaging.fleet import FleetView
from tests.support.purges import CONSUMER, left, send
from tests.support.topologies import BRISK_ACK_WAIT_S, brisk
from tests.support.waiting import until
from tests.support.workers import running

DONE, REFUSED, UNFINISHED = ControlOutcome.DONE, ControlOutcome.REFUSED, ControlOutcome.UNFINISHED
PAUSE, RESUME, DRAIN = ControlAction.PAUSE, ControlAction.RESUME, ControlAction.DRAIN


@pytest.fixture
def process_settings(process_settings: ProcessSettings, tmp_path: Path) -> ProcessSettings:
    return process_settings.model_copy(update={"data_dir": tmp_path / "data"})


class Orders:
    """Gives orders to the worker of the test."""

    def __init__(self, broker: Broker) -> None:
        self.desk = ControlDesk(broker)
        self._broker = broker

    def make(self, action: ControlAction, *, seconds: float = 60, instance: str = "worker-1") -> ControlOrder:
        return ControlOrder(
            order_id=new_id(),
            service="tested",
            instance=instance,
            action=action,
            principal="ada",
            reason="a test",
            expires_at=self._broker.clock.now() + timedelta(seconds=seconds),
        )

    async def __call__(self, action: ControlAction, *, seconds: float = 60, instance: str = "worker-1") -> ControlReply:
        return await self._heard(self.make(action, seconds=seconds, instance=instance))

    @stamina.retry(on=NotHeardError, attempts=None, timeout=10, wait_initial=0.02, wait_max=0.2)
    async def _heard(self, order: ControlOrder) -> ControlReply:
        """A worker that has just become ready may not listen yet."""
        return await self.desk.order(order)


class Handled:
    """What the worker was given, and may be held up with."""

    def __init__(self) -> None:
        self.begun = Counter[str]()
        self.done = Counter[str]()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def handle(self, request: PurgeRequest, _: Delivery) -> None:
        self.begun[request.document_id] += 1
        await self.go_on.wait()
        self.done[request.document_id] += 1

    def has_done(self, number: int) -> bool:
        return len(self.done) >= number


@pytest.fixture
def orders(broker: Broker) -> Orders:
    return Orders(broker)


@pytest.fixture
def handled(worker: WorkerApp) -> Handled:
    handled = Handled()
    worker.consumes(CONSUMER, PurgeRequest, concurrency=2)(handled.handle)
    return handled


@pytest.fixture
async def at_work(worker: WorkerApp, handled: Handled) -> AsyncIterator[Handled]:
    async with running(worker):
        yield handled


class TestWhileMessagesFlow:
    @pytest.fixture
    def table(self) -> Topology:
        """With an ack wait that no busy machine makes a worker miss: what is delivered twice then is by a defect."""
        return brisk(ack_wait_s=30)

    async def test_a_pause_loses_and_doubles_none(self, broker: Broker, orders: Orders, at_work: Handled) -> None:
        names = [f"d{n}" for n in range(300)]
        sending = asyncio.create_task(send(broker, *names))
        for number in range(6):
            await until(partial(at_work.has_done, 40 * (number + 1)))
            paused = await orders(PAUSE)
            assert (paused.outcome, paused.state) == (DONE, ProcessState.PAUSED)
            assert (await orders(DRAIN)).in_flight == 0
            done = at_work.done.total()
            assert (await orders(ControlAction.RELOAD)).in_flight == 0
            assert at_work.done.total() == done, "it took work while it was paused"
            assert (await orders(RESUME)).state is ProcessState.READY
        await sending
        await until(lambda: len(at_work.done) == 300)

        async def is_empty() -> bool:
            return await left(broker) == 0

        await until(is_empty)
        assert at_work.begun == at_work.done == Counter(names)


async def test_a_paused_worker_takes_nothing_and_finishes_what_it_has(
    broker: Broker, view: FleetView, orders: Orders, at_work: Handled
) -> None:
    at_work.go_on.clear()
    await send(broker, "in-hand")
    await until(lambda: at_work.begun["in-hand"] == 1)
    paused = await orders(PAUSE)
    assert (paused.outcome, paused.in_flight) == (DONE, 1)
    assert "1 message in hand" in paused.detail
    await send(broker, "later")
    await until(lambda: view.members()[0].heartbeat.state is ProcessState.PAUSED)
    await asyncio.sleep(2 * BRISK_ACK_WAIT_S)  # so long beats must keep what is in hand from being delivered again
    at_work.go_on.set()
    await until(lambda: at_work.done == Counter({"in-hand": 1}))

    async def only_later_is_left() -> bool:
        return await left(broker) == 1

    await until(only_later_is_left)
    assert (at_work.begun, view.members()[0].heartbeat.state) == (Counter({"in-hand": 1}), ProcessState.PAUSED)
    await orders(RESUME)
    await until(lambda: at_work.done["later"] == 1)
    assert at_work.begun.total() == 2


async def test_a_pause_survives_a_restart_of_the_broker(
    broker: Broker, view: FleetView, orders: Orders, at_work: Handled, nats_server: NatsServer
) -> None:
    await orders(PAUSE)
    nats_server.kill()
    nats_server.start()
    await broker.connected_anew()
    await send(broker, "a")
    beats = view.members()[0].heartbeat.created_at
    await until(lambda: view.members()[0].heartbeat.created_at > beats)
    assert view.members()[0].heartbeat.state is ProcessState.PAUSED
    again = await orders(PAUSE)
    assert (again.detail, at_work.begun.total()) == ("it was paused already", 0)
    await orders(RESUME)
    await until(lambda: at_work.done["a"] == 1)


async def test_one_that_is_paused_while_it_starts_begins_paused(
    broker: Broker, view: FleetView, worker: WorkerApp, orders: Orders, handled: Handled
) -> None:
    paused = list[ControlReply]()

    async def is_heard() -> bool:
        try:
            paused.append(await orders(PAUSE))
        except NotHeardError:  # it does not listen yet
            return False
        return True

    async def load_a_model() -> None:
        await until(is_heard)

    worker.on_startup(load_a_model)
    await send(broker, "a")
    async with running(worker):
        assert [(reply.outcome, reply.state) for reply in paused] == [(DONE, ProcessState.STARTING)]
        await until(lambda: bool(view.members()) and view.members()[0].heartbeat.state is ProcessState.PAUSED)
        assert (await orders(DRAIN)).in_flight == 0
        assert handled.begun.total() == 0
        await orders(RESUME)
        await until(lambda: handled.done["a"] == 1)


async def test_a_drain_answers_when_nothing_is_in_hand(broker: Broker, orders: Orders, at_work: Handled) -> None:
    at_work.go_on.clear()
    await send(broker, "a", "b", "c")
    await until(lambda: at_work.begun.total() == 2)
    draining = asyncio.create_task(orders(DRAIN))
    impatient = await orders(DRAIN, seconds=0.3)
    assert (impatient.outcome, impatient.in_flight, impatient.state) == (UNFINISHED, 2, ProcessState.PAUSED)
    assert not draining.done()
    at_work.go_on.set()
    drained = await draining
    assert (drained.outcome, drained.in_flight, at_work.done.total()) == (DONE, 0, 2)


async def test_a_drain_that_somebody_ends_is_not_told_as_done(broker: Broker, orders: Orders, at_work: Handled) -> None:
    at_work.go_on.clear()
    await send(broker, "a")
    await until(lambda: at_work.begun.total() == 1)
    draining = asyncio.create_task(orders(DRAIN))

    async def resumed() -> bool:
        return (await orders(RESUME)).detail != "it was not paused"

    await until(resumed)
    at_work.go_on.set()
    assert (await draining).outcome is UNFINISHED


async def test_an_order_that_has_expired_is_refused(orders: Orders, at_work: Handled) -> None:
    reply = await orders(PAUSE, seconds=-1)
    assert (reply.outcome, reply.state) == (REFUSED, ProcessState.READY)
    assert "expired" in reply.detail
    assert (await orders(PAUSE, seconds=7200)).outcome is REFUSED


async def test_an_order_is_done_once_however_often_it_comes(broker: Broker, orders: Orders, at_work: Handled) -> None:
    order = orders.make(PAUSE)
    first = await orders.desk.order(order)
    await orders(RESUME)
    again = await orders.desk.order(order)
    assert (again.outcome, again.detail) == (first.outcome, first.detail)
    assert again.state is ProcessState.READY, "the repetition paused it again"


async def test_an_order_that_is_repeated_while_it_is_done_gets_the_same_answer(
    broker: Broker, orders: Orders, at_work: Handled
) -> None:
    at_work.go_on.clear()
    await send(broker, "a")
    await until(lambda: at_work.begun.total() == 1)
    order = orders.make(DRAIN)
    replies = [asyncio.create_task(orders.desk.order(order)) for _ in range(5)]
    await orders(PAUSE)
    at_work.go_on.set()
    assert {(reply.outcome, reply.detail) for reply in await asyncio.gather(*replies)} == {
        (DONE, "it takes nothing more from purge, and has nothing in hand")
    }


async def test_an_order_for_another_is_refused_by_whoever_gets_it(
    broker: Broker, orders: Orders, at_work: Handled
) -> None:
    order = orders.make(PAUSE, instance="worker-2")
    reply = await broker.nc.request(subjects.control("tested", "worker-1"), order.to_bytes(), timeout=10)
    answer = ControlReply.from_bytes(reply.data)
    assert (answer.outcome, answer.instance, answer.state) == (REFUSED, "worker-1", ProcessState.READY)


async def test_an_order_to_nobody_is_said_so_at_once(orders: Orders) -> None:
    with pytest.raises(NotHeardError, match="takes no orders"):
        await orders.desk.order(orders.make(PAUSE, instance="nobody"))


async def test_noise_harms_nobody(broker: Broker, orders: Orders, at_work: Handled) -> None:
    for noise in (b"", b"noise", b"[" * 10_000, b'{"order_id": "*"}', b'{"schema_version": 99}'):
        await broker.nc.publish(subjects.control("tested", "worker-1"), noise)
    assert (await orders(RESUME)).detail == "it was not paused"


async def test_orders_that_have_not_expired_are_bounded(
    orders: Orders, at_work: Handled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.control.office.MOST_REMEMBERED", 3)
    replies = [await orders(RESUME) for _ in range(4)]
    assert [reply.outcome for reply in replies] == [DONE, DONE, DONE, REFUSED]


async def test_who_has_no_cache_and_nothing_to_read_again_says_so(orders: Orders, at_work: Handled) -> None:
    cleared, reread = await orders(ControlAction.CLEAR_CACHE), await orders(ControlAction.RELOAD)
    assert (cleared.outcome, cleared.detail) == (REFUSED, "it keeps no cache in its memory")
    assert reread.outcome is REFUSED
    assert "start it again" in reread.detail


async def test_a_cache_is_cleared_and_orders_are_read_again(
    worker: WorkerApp, orders: Orders, handled: Handled
) -> None:
    read = list[str]()

    async def reread() -> None:
        read.append("again")

    worker.forgets(lambda: 3)
    worker.forgets(lambda: 4)
    worker.rereads("a thing", reread)
    async with running(worker):
        cleared, reloaded = await orders(ControlAction.CLEAR_CACHE), await orders(ControlAction.RELOAD)
    assert (cleared.outcome, reloaded.outcome, read) == (DONE, DONE, ["again"])
    assert cleared.detail.startswith("7 entries")
    assert "a thing" in reloaded.detail


async def test_an_order_that_goes_wrong_is_answered_and_the_worker_goes_on(
    worker: WorkerApp, orders: Orders, handled: Handled
) -> None:
    async def reread() -> None:
        raise OSError("the disk is gone")

    worker.rereads("a thing", reread)
    async with running(worker):
        reply = await orders(ControlAction.RELOAD)
        assert (reply.outcome, reply.detail) == (ControlOutcome.FAILED, "OSError: the disk is gone")
        assert (await orders(RESUME)).outcome is DONE


async def test_who_takes_no_work_cannot_be_paused(worker: WorkerApp, orders: Orders) -> None:
    async with running(worker):
        assert (await orders(PAUSE)).detail == "it takes no work from queues"


async def test_the_stacks_of_a_handler_that_hangs_are_told_and_kept(
    broker: Broker, orders: Orders, at_work: Handled, process_settings: ProcessSettings
) -> None:
    at_work.go_on.clear()
    await send(broker, "a")
    await until(lambda: at_work.begun.total() == 1)
    reply = await orders(ControlAction.DUMP_STACKS)
    at_work.go_on.set()
    kept = (process_settings.data_dir / "logs" / "tested-worker-1.stacks").read_text()

    assert reply.outcome is DONE
    assert "in handle\n" in reply.evidence
    assert "Thread MainThread" in reply.evidence
    assert reply.evidence in kept
    assert "ordered by ada: a test" in kept


async def test_stacks_that_are_long_or_cannot_be_kept_are_told_all_the_same(
    orders: Orders, at_work: Handled, process_settings: ProcessSettings
) -> None:
    process_settings.data_dir.write_text("in the way")
    release = asyncio.Event()
    tasks = [asyncio.create_task(release.wait(), name=f"wait-{n}") for n in range(600)]
    reply = await orders(ControlAction.DUMP_STACKS)
    release.set()
    await asyncio.gather(*tasks)

    assert reply.outcome is DONE
    assert "no file could be written" in reply.detail
    assert MOST_EVIDENCE_BYTES / 2 < len(reply.evidence.encode()) <= MOST_EVIDENCE_BYTES
