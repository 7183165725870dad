"""A gateway, an ingest worker that fails, an empty system and a view of the fleet, for all who need no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.endpoints import EndpointDesk
from messaging.fleet import FleetView
from tests.support.failing_ingest import FailingIngest
from tests.support.gateways import Gateway, running_gateway
from tests.support.sites import Site, site
from tests.support.workers import running


@pytest.fixture(autouse=True)
def short_pulls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is told to stop waits for the end of its open request: a second, in hundreds of tests."""
    monkeypatch.setattr("messaging.pulling.PULL_S", 0.1)


@pytest.fixture
async def gateway(broker: Broker, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as started:
        await started.ready()
        yield started


@pytest.fixture
async def desk(broker: Broker) -> AsyncIterator[EndpointDesk]:
    async with EndpointDesk.open(broker, listen_s=0, gather_s=5) as desk:
        yield desk


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[Site]:
    """An empty system to restore a backup into."""
    async with site(tmp_path / "there") as built:
        yield built


@pytest.fixture
async def ingest(broker: Broker, worker: WorkerApp) -> AsyncIterator[FailingIngest]:
    ingest = FailingIngest(worker)
    async with running(worker):
        yield ingest


@pytest.fixture
async def view(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FleetView]:
    """Hears heartbeats, which come often."""
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    view = FleetView(broker)
    await view.start()
    yield view
    await view.stop()
