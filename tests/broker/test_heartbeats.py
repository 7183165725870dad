"""Every process says how it does, and everybody can listen."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from contracts import subjects
from contracts.documents import PurgeRequest
from contracts.health import PROGRESS_CHECK, BackendCheck, CheckStatus, Heartbeat, ProcessState
from contracts.settings import BrokerSettings, EmbedSettings, RetrieveSettings
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.fleet import DEAD_AFTER_S, FORGOTTEN_AFTER_S, FleetView, Member
from messaging.live import Live, listening
from tests.broker.embedding_stage import WatchedEmbedder
from tests.support.clocks import Clock
from tests.support.purges import CONSUMER, send
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed import worker as embed
from workers.indexing import factory
from workers.indexing.base import VectorIndex
from workers.retrieve import worker as retrieve


@pytest.fixture
def clock() -> Clock:
    return Clock()


def only(view: FleetView) -> Member:
    (member,) = view.members()
    return member


async def test_a_worker_tells_its_state_and_what_it_has_in_hand(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    release = asyncio.Event()

    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        await release.wait()

    view = FleetView(broker)
    await view.start()
    async with running(worker):
        await until(lambda: bool(view.members()) and only(view).heartbeat.state is ProcessState.READY)
        await send(broker, "a")
        await until(lambda: only(view).heartbeat.in_flight == 1)
        assert (only(view).heartbeat.oldest_in_flight_s or 0) > 0
        release.set()
        await until(lambda: only(view).heartbeat.progress == 1)
        beat = only(view).heartbeat
    assert (beat.service, beat.instance, beat.track) == ("tested", "worker-1", "stable")
    assert beat.last_progress_at is not None
    assert beat.rss_bytes > 1_000_000
    await until(lambda: only(view).heartbeat.state is ProcessState.DRAINING)
    await view.stop()


async def test_checks_are_told_also_when_they_fail(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)

    async def well() -> BackendCheck:
        return BackendCheck(name="index", status=CheckStatus.OK, latency_ms=1.0)

    async def ill() -> BackendCheck:
        raise OSError("refused")

    worker.check("index", well)
    worker.check("model", ill)
    view = FleetView(broker)
    await view.start()
    async with running(worker):
        await until(lambda: bool(view.members()) and _statuses(view) == {"index": "ok", "model": "failing"})
    assert any("refused" in check.detail for check in only(view).heartbeat.checks)
    await view.stop()


async def test_nothing_is_looked_at_before_it_is_there(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    opened, looks = asyncio.Event(), list[bool]()

    async def look() -> BackendCheck:
        looks.append(opened.is_set())
        return BackendCheck(name="index", status=CheckStatus.OK)

    async def open_index() -> None:
        await opened.wait()

    worker.on_startup(open_index)
    worker.check("index", look)
    view = FleetView(broker)
    await view.start()
    life = asyncio.create_task(worker.run(handle_signals=False))
    await until(lambda: bool(view.members()) and only(view).heartbeat.state is ProcessState.STARTING)
    assert _statuses(view) == {"index": "unknown"}
    opened.set()
    await until(lambda: _statuses(view) == {"index": "ok"})
    assert all(looks)
    worker.stop()
    assert await life == 0
    await view.stop()


async def test_a_silent_process_is_dead_and_later_forgotten(broker: Broker, clock: Clock) -> None:
    view = FleetView(broker, monotonic=clock)
    view.hear(_beat("embed-1"))
    assert only(view).alive
    clock.now += DEAD_AFTER_S + 0.1
    assert not only(view).alive
    assert only(view).heard_ago_s == pytest.approx(DEAD_AFTER_S + 0.1)
    view.hear(_beat("embed-1"))
    assert only(view).alive
    clock.now += FORGOTTEN_AFTER_S + 0.1
    assert view.members() == []


async def test_a_process_that_was_draining_when_it_fell_silent_has_left(broker: Broker, clock: Clock) -> None:
    view = FleetView(broker, monotonic=clock)
    view.hear(_beat("embed-1").model_copy(update={"state": ProcessState.DRAINING}))
    clock.now += DEAD_AFTER_S - 0.1
    assert only(view).alive
    clock.now += 0.2
    assert view.members() == []


async def test_a_flood_of_invented_processes_is_bounded(
    broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.fleet.MAX_MEMBERS", 10)
    view = FleetView(broker, monotonic=clock)
    for n in range(25):
        view.hear(_beat(f"p-{n:02}"))
    assert [member.heartbeat.instance for member in view.members()] == [f"p-{n:02}" for n in range(15, 25)]


async def test_noise_and_false_names_are_not_believed(broker: Broker) -> None:
    view = FleetView(broker)
    await view.start()
    await broker.nc.publish(subjects.health("embed", "x"), b"noise")
    await broker.nc.publish(subjects.health("embed", "other"), _beat("embed-1").to_bytes())
    await broker.nc.publish(subjects.health("embed", "embed-2"), _beat("embed-2").to_bytes())
    await until(lambda: bool(view.members()))
    assert only(view).heartbeat.instance == "embed-2"
    await view.stop()


def _beat(instance: str) -> Heartbeat:
    from datetime import UTC, datetime

    return Heartbeat(
        service="embed",
        instance=instance,
        host="h",
        version="1",
        pid=1,
        started_at=datetime.now(UTC),
        state=ProcessState.READY,
        in_flight=0,
        progress=0,
        rss_bytes=1,
        cpu_s=0,
    )


def _statuses(view: FleetView) -> dict[str, str]:
    """Of all but the worker itself."""
    checks = only(view).heartbeat.checks
    return {check.name: str(check.status) for check in checks if check.name != PROGRESS_CHECK}


@pytest.mark.parametrize("service", ["embed", "retrieve"])
async def test_what_takes_long_to_load_keeps_no_heartbeat_back(
    broker: Broker,
    broker_settings: BrokerSettings,
    table: Topology,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.05)
    loaded, build_index = threading.Event(), factory.build_index

    def slowly(*arguments: Any, **options: Any) -> VectorIndex:
        assert loaded.wait(timeout=30)
        return build_index(*arguments, **options)

    monkeypatch.setattr("workers.indexing.duty.build_index", slowly)
    given: dict[str, Any] = {"nats_url": broker_settings.nats_url, "index_path": tmp_path / "index", "instance": "new"}
    app = (
        embed.build(EmbedSettings(**given), embedder=WatchedEmbedder, table=table)
        if service == "embed"
        else retrieve.build(RetrieveSettings(**given), embedder=WatchedEmbedder, table=table)
    )
    heard: list[ProcessState] = []

    async def hear(message: Live) -> None:
        heard.append(Heartbeat.from_bytes(message.data).state)

    async def load() -> set[ProcessState]:
        try:
            await until(lambda: len(heard) >= 5)
            return set(heard)
        finally:
            loaded.set()

    async with listening(broker, subjects.health(service, "new"), hear=hear), asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(load())
        async with running(app):
            assert await loading == {ProcessState.STARTING}
