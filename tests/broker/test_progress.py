"""A worker that has work and finishes none says so in its heartbeats; one that is slow, idle or paused does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import topology
from contracts.documents import PurgeRequest
from contracts.health import PROGRESS_CHECK, BackendCheck, CheckStatus
from contracts.settings import ProcessSettings
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.fleet import FleetView
from tests.support.purges import CONSUMER, send
from tests.support.waiting import until
from tests.support.workers import running

STUCK_S = 1.0


@pytest.fixture
def process_settings(process_settings: ProcessSettings, tmp_path: Path) -> ProcessSettings:
    return process_settings.model_copy(
        update={"data_dir": tmp_path / "data", "stuck_after_s": STUCK_S, "drain_timeout_s": 0.1}
    )


@pytest.fixture
def release() -> Iterator[threading.Event]:
    release = threading.Event()
    yield release
    release.set()


def progress(view: FleetView) -> BackendCheck | None:
    checks = [check for member in view.members() for check in member.heartbeat.checks]
    return next((check for check in checks if check.name == PROGRESS_CHECK), None)


def says(view: FleetView, status: CheckStatus) -> bool:
    told = progress(view)
    return told is not None and told.status is status


async def test_a_handler_that_never_returns_is_told_until_it_does(
    broker: Broker, view: FleetView, worker: WorkerApp, release: threading.Event
) -> None:
    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        await asyncio.to_thread(release.wait)

    async with running(worker):
        await until(lambda: says(view, CheckStatus.OK))
        await send(broker, "a")
        await until(lambda: says(view, CheckStatus.FAILING))
        told = progress(view)
        assert told is not None
        assert "nothing was finished for 1 s" in told.detail
        release.set()
        await until(lambda: says(view, CheckStatus.OK))


async def test_a_handler_that_is_slow_is_never_told(
    broker: Broker,
    view: FleetView,
    process_settings: ProcessSettings,
    table: topology.Topology,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("messaging.running.WAITING_INTERVAL_S", 0.05)
    patient = process_settings.model_copy(update={"stuck_after_s": 5.0})
    worker = WorkerApp(patient, service="tested", table=table)
    done, told = list[str](), set[CheckStatus]()

    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        await asyncio.sleep(0.25)
        done.append(request.document_id)

    def watched() -> bool:
        if (check := progress(view)) is not None:
            told.add(check.status)
        return len(done) == 30

    async with running(worker):
        await send(broker, *(f"d{n}" for n in range(30)))  # half again as long as is allowed, all together
        await until(watched)
    assert told == {CheckStatus.OK}


async def test_messages_that_wait_while_nothing_is_taken_are_told(
    broker: Broker, view: FleetView, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.WAITING_INTERVAL_S", 0.05)
    asks = asyncio.Event()
    fetch = "messaging.pulling.PullSubscription.fetch"

    async def never(*_: object, **__: object) -> list[object]:
        await asks.wait()
        raise asyncio.CancelledError

    monkeypatch.setattr(fetch, never)

    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None: ...

    async with running(worker):
        await send(broker, "a", "b")
        await until(lambda: says(view, CheckStatus.FAILING))
        told = progress(view)
    assert told is not None
    assert told.detail == "2 messages wait, and none was taken for 1 s"


async def test_who_takes_no_work_says_nothing_of_progress(view: FleetView, worker: WorkerApp) -> None:
    async with running(worker):
        await until(lambda: bool(view.members()) and view.members()[0].heartbeat.state == "ready")
        assert progress(view) is None


@pytest.mark.parametrize(
    ("limits_s", "expected_s"), [((60.0,), 120.0), ((900.0, 330.0), 960.0), ((None,), 3600.0), ((None, 60.0), 3600.0)]
)
async def test_without_a_setting_nothing_is_stuck_that_its_handlers_may_take(
    process_settings: ProcessSettings,
    table: topology.Topology,
    monkeypatch: pytest.MonkeyPatch,
    broker: Broker,
    limits_s: tuple[float | None, ...],
    expected_s: float,
) -> None:
    seen = list[float]()

    class Watched:
        def __init__(self, *_: object, limit_s: float, **__: object) -> None:
            seen.append(limit_s)

        def check(self) -> BackendCheck:
            return BackendCheck(name=PROGRESS_CHECK, status=CheckStatus.OK)

        def looked(self, waiting: int) -> None: ...

    monkeypatch.setattr("messaging.running.Progress", Watched)
    settings = process_settings.model_copy(update={"stuck_after_s": None})
    app = WorkerApp(settings, service="tested", table=table)
    consumers = (topology.PURGE_WORKERS, topology.EMBED_WORKERS)
    for consumer, limit_s in zip(consumers, limits_s, strict=False):

        @app.consumes(consumer, PurgeRequest, time_limit_s=limit_s)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None: ...

    async with running(app):
        assert seen == [expected_s]
