"""What the broker does not permit is said at once, counted, and logged once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from contracts import subjects
from contracts.documents import PurgeRequest
from contracts.settings import ProcessSettings
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.errors import NotPermittedError
from messaging.provisioning import provision
from messaging.refusals import MOST_KINDS, Refusals
from tests.support.nats_users import Guarded, guarded, refused
from tests.support.purges import CONSUMER, send
from tests.support.waiting import until
from tests.support.workers import running

PATIENCE_S = 300.0
"""Of the client: whoever waits that long has not been told."""


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(tmp_path) as broker:
        yield broker


@pytest.fixture
async def admin(guarded_broker: Guarded, table: Topology) -> AsyncIterator[Broker]:
    connected = await Broker.connect(guarded_broker.settings("admin"), name="admin", on_closed=lambda: None)
    try:
        await provision(connected, table)
        yield connected
    finally:
        await connected.close()


@pytest.fixture
async def limited(guarded_broker: Guarded, admin: Broker) -> AsyncIterator[Broker]:
    """The observer, who may not ask questions."""
    settings = guarded_broker.settings("observer", publish_timeout_s=PATIENCE_S)
    connected = await Broker.connect(settings, name="observer", on_closed=lambda: None)
    try:
        yield connected
    finally:
        await connected.close()


async def ask(broker: Broker, tenant: str = "Acme") -> None:
    await broker.publish_bytes(subjects.query_request(tenant), b"{}", stream="QUERY", headers={"Nats-Msg-Id": "1"})


async def test_who_publishes_is_told_at_once(limited: Broker) -> None:
    with pytest.raises(NotPermittedError, match=r"rag\.query\.requests\.Acme.*docs/nats-users\.md"):
        await ask(limited)


async def test_all_who_wait_for_the_same_are_told_and_nobody_else(limited: Broker) -> None:
    other = asyncio.create_task(limited.look())
    told = await asyncio.gather(*(ask(limited) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in told] == [NotPermittedError] * 5
    await other


async def test_it_is_logged_once_for_each_kind_of_subject(limited: Broker) -> None:
    with structlog.testing.capture_logs() as logs:
        for tenant in ("a", "b"):
            await asyncio.gather(ask(limited, tenant), return_exceptions=True)
        assert await refused(limited, "subscribe", "rag.answers.a.q")
        assert await refused(limited, "subscribe", "_INBOX.x")
    told = [entry for entry in logs if entry["event"] == "the broker does not permit this"]
    assert [(entry["operation"], entry["subject"]) for entry in told] == [
        ("publish", "rag.query.requests.a"),
        ("subscribe", "rag.answers.a.q"),
        ("subscribe", "_inbox.x"),
    ]
    assert "WAGGLE_NATS_INBOX_PREFIX" in told[-1]["advice"]


async def test_it_is_counted_from_the_first_on_and_without_the_subject(limited: Broker) -> None:
    reader = InMemoryMetricReader()
    limited.refusals.measure(MeterProvider([reader]).get_meter("test"))
    assert counted(reader) == {"publish": 0, "subscribe": 0}
    for tenant in ("a", "b"):
        await asyncio.gather(ask(limited, tenant), return_exceptions=True)
    assert await refused(limited, "subscribe", "rag.answers.a.q")
    assert counted(reader) == {"publish": 2, "subscribe": 1}


def counted(reader: InMemoryMetricReader) -> dict[str, float]:
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "waggle.broker.permissions_refused"
    return {attribute_of(point): point.value for point in metric.data.data_points if isinstance(point, NumberDataPoint)}


def attribute_of(point: NumberDataPoint) -> str:
    """The one that it has."""
    ((name, value),) = (point.attributes or {}).items()
    assert name == "messaging.operation.name"
    return str(value)


def test_what_is_logged_is_bounded() -> None:
    refusals = Refusals()
    with structlog.testing.capture_logs() as logs:
        for number in range(MOST_KINDS + 10):
            assert refusals.heed(Exception(f'nats: permissions violation for publish to "a{number}.b.c"'))
    assert len(logs) == MOST_KINDS
    assert refusals.counts["publish"] == MOST_KINDS + 10
    assert not refusals.heed(Exception("nats: stale connection"))


async def test_work_waits_for_the_permission(
    guarded_broker: Guarded, admin: Broker, table: Topology, tmp_path: Path
) -> None:
    """As while the broker is away: the message is in hand and nothing of it is lost."""
    shown = guarded_broker.shown("embed")
    settings = ProcessSettings(nats_url=guarded_broker.server.url, instance="embed-1", data_dir=tmp_path, **shown)
    app = WorkerApp(settings, service="embed", table=table)
    tried: list[int] = []

    @app.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        tried.append(delivery.attempt)
        if len(tried) < 3:
            await ask(app.broker)

    async with running(app):
        await send(admin, "a")
        await until(lambda: len(tried) == 3)
    assert tried == [1, 1, 1]
