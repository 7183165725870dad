"""What every test may ask for: a real broker of its own, and a Weaviate that all share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

from contracts.settings import BrokerSettings, ProcessSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.provisioning import provision
from tests.support.topologies import brisk

if TYPE_CHECKING:
    from tests.support.weaviate_site import WeaviateSite

# How long an example takes says more about what else the machine does than about the code.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

SHARED_STACK = "tests/e2e/stack/"
"""What is tested here on one stack, which takes many seconds of processor time to start."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run in several processes, those of one file stay together, and those of the shared stack too."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return SHARED_STACK if nodeid.startswith(SHARED_STACK) else str(super()._split_scope(nodeid))

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Tracebacks as processes write them; structlog's own default takes a second for each.

    Whatever set up logging before, as commands do, counts no more.
    """
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server of this test alone; it may be killed and restarted at will."""
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def broker_settings(nats_server: NatsServer) -> BrokerSettings:
    """How to reach the test's broker; nothing is provisioned on it."""
    return BrokerSettings(nats_url=nats_server.url)


@pytest.fixture
def table() -> Topology:
    """The topology that `broker` is provisioned with: the real one with short ack waits. Override it at will."""
    return brisk()


@pytest.fixture
async def broker(broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[Broker]:
    """A connected broker with `table` applied."""
    broker = await Broker.connect(broker_settings, name="test", on_closed=lambda: None)
    try:
        await provision(broker, table)
        yield broker
    finally:
        await broker.close()


@pytest.fixture
def process_settings(broker_settings: BrokerSettings) -> ProcessSettings:
    """Settings of a worker on the test's broker."""
    return ProcessSettings(nats_url=broker_settings.nats_url, instance="worker-1", drain_timeout_s=10)


@pytest.fixture
def worker(process_settings: ProcessSettings, table: Topology) -> WorkerApp:
    """A worker without handlers; declare some, then `async with running(worker)`."""
    return WorkerApp(process_settings, service="tested", table=table, restores=True)


@pytest.fixture(scope="session")
def weaviate_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateSite]:
    """A running Weaviate for all tests; each uses a collection of its own there."""
    from tests.support.weaviate_site import running_site

    with running_site(tmp_path_factory.mktemp("weaviate")) as site:
        yield site
