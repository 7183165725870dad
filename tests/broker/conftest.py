"""A gateway, an ingest worker that fails, and an empty system, for all who need no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messaging.app import WorkerApp
from messaging.broker import Broker
from tests.support.failing_ingest import FailingIngest
from tests.support.gateways import Gateway, running_gateway
from tests.support.sites import Site, site
from tests.support.workers import running


@pytest.fixture
async def gateway(broker: Broker, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as started:
        await started.ready()
        yield started


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
