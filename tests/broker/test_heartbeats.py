"""Every process says how it does, and everybody can listen."""

from __future__ import annotations

import asyncio

import pytest

from contracts import subjects
from contracts.documents import PurgeRequest
from contracts.health import BackendCheck, CheckStatus, Heartbeat, ProcessState
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.fleet import DEAD_AFTER_S, FORGOTTEN_AFTER_S, FleetView, Member
from tests.support.purges import CONSUMER, send
from tests.support.waiting import until
from tests.support.workers import running


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


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


async def test_a_silent_process_is_dead_and_later_forgotten(broker: Broker, clock: Time) -> None:
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


async def test_a_flood_of_invented_processes_is_bounded(
    broker: Broker, clock: Time, monkeypatch: pytest.MonkeyPatch
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
    return {check.name: str(check.status) for check in only(view).heartbeat.checks}
