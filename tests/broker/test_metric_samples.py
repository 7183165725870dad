"""Every process tells what it measures, in messages that fit, and is well without anybody to tell it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts import subjects
from contracts.documents import PurgeRequest
from contracts.metrics import Metric, MetricKind, MetricsSample, NumberPoint
from contracts.settings import ProcessSettings
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.clock import BrokerClock
from messaging.delivery import Delivery
from messaging.live import Live, listening
from messaging.samples import MetricsPublisher
from observability.samples import Collected
from observability.telemetry import Telemetry, start_telemetry
from tests.support.gateways import running_gateway
from tests.support.purges import CONSUMER, send
from tests.support.waiting import until
from tests.support.workers import running


@dataclass
class Heard:
    """The samples of a fleet, as anybody may hear them."""

    samples: list[MetricsSample] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    async def hear(self, message: Live) -> None:
        sample = MetricsSample.from_bytes(message.data)
        assert message.subject == subjects.metrics(sample.service, sample.instance)
        self.samples.append(sample)
        self.sizes.append(len(message.data))

    def metric(self, name: str) -> Metric | None:
        """The newest of that name."""
        found = [metric for sample in self.samples for metric in sample.metrics if metric.name == name]
        return found[-1] if found else None

    def count(self, name: str, **attributes: str) -> int:
        """How many measurements a histogram holds, of those with the attributes."""
        metric = self.metric(name)
        points = metric.histograms if metric else ()
        return sum(point.count for point in points if attributes.items() <= point.attributes.items())


@asynccontextmanager
async def listening_to(broker: Broker) -> AsyncIterator[Heard]:
    heard = Heard()
    async with listening(broker, subjects.metrics("*", "*"), hear=heard.hear):
        yield heard


@pytest.fixture
def brisk_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.running.SAMPLE_INTERVAL_S", 0.1)


def handling(worker: WorkerApp) -> None:
    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        pass


async def test_a_worker_tells_what_it_did_and_what_it_takes(
    broker: Broker, worker: WorkerApp, brisk_samples: None
) -> None:
    handling(worker)
    async with listening_to(broker) as heard, running(worker):
        await send(broker, "secret-document")
        await until(lambda: heard.count("messaging.process.duration", **{"waggle.outcome": "acked"}) == 1)
        await until(lambda: heard.metric("process.memory.usage") and heard.metric("system.memory.limit"))
    sample = heard.samples[0]
    assert (sample.service, sample.instance) == ("tested", "worker-1")
    assert sample.resource["service.name"] == "waggle-tested"
    assert sample.started_at <= sample.created_at
    assert len({each.started_at for each in heard.samples}) == 1
    duration = heard.metric("messaging.process.duration")
    assert duration is not None
    assert duration.histograms[0].attributes["messaging.consumer.group.name"] == "purge"
    assert not any("secret-document" in sample.model_dump_json() for sample in heard.samples)


async def test_a_host_whose_clock_is_an_hour_behind_the_brokers_says_so(
    broker: Broker, worker: WorkerApp, brisk_samples: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    handling(worker)
    monkeypatch.setattr(BrokerClock, "now", lambda _: datetime.now(UTC) + timedelta(hours=1))
    async with listening_to(broker) as heard, running(worker):
        await until(lambda: heard.metric("waggle.process.clock.offset"))
    metric = heard.metric("waggle.process.clock.offset")
    assert metric is not None
    assert metric.numbers[0].value == pytest.approx(-3600, abs=1)


async def test_what_is_counted_at_the_end_is_told_before_it(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.SAMPLE_INTERVAL_S", 3600)
    handling(worker)
    async with listening_to(broker) as heard:
        async with running(worker):
            await send(broker, "a")
            await until(lambda: worker._parts.activity.progress == 1)
            assert heard.samples == []
        await until(lambda: heard.count("messaging.process.duration") == 1)


async def test_a_process_that_is_not_to_tell_anything_tells_nothing(
    broker: Broker, process_settings: ProcessSettings, brisk_samples: None
) -> None:
    loud = WorkerApp(process_settings.model_copy(update={"instance": "loud"}), service="tested")
    quiet = WorkerApp(process_settings.model_copy(update={"instance": "quiet", "telemetry": False}), service="tested")
    async with listening_to(broker) as heard, running(loud), running(quiet):
        await until(lambda: len(heard.samples) >= 3)
    assert {sample.instance for sample in heard.samples} == {"loud"}


async def test_the_gateway_tells_how_long_requests_took(broker: Broker, nats_server: NatsServer) -> None:
    telemetry = start_telemetry(service="gateway", instance="door", version="1", environment={})
    async with listening_to(broker) as heard:
        async with running_gateway(nats_server.url, instance="door", telemetry=telemetry) as gateway:
            await gateway.ready()
            assert (await gateway.http.get("/v1/documents/none")).status_code == 404
        await until(lambda: heard.metric("http.server.request.duration"))
    metric = heard.metric("http.server.request.duration")
    assert metric is not None
    found = [point.attributes for point in metric.histograms if point.attributes["waggle.status_class"] == "4xx"]
    assert [point["http.route"] for point in found] == ["/v1/documents/{document_id}"]


async def test_while_the_broker_is_away_samples_are_dropped_and_the_worker_is_well(
    broker: Broker, worker: WorkerApp, nats_server: NatsServer, brisk_samples: None
) -> None:
    handling(worker)
    async with running(worker):
        nats_server.kill()
        await until(lambda: not worker.broker.is_connected)
        pending = worker.broker.nc._pending_data_size
        publisher = MetricsPublisher(
            worker.broker,
            _telling(Collected(metrics=(wide(50),), pointless=0, overflowing=0)),
            service="t",
            instance="t",
        )
        for _ in range(20):
            await publisher.publish()
        assert worker.broker.nc._pending_data_size == pending, "nothing is kept for later"
        nats_server.start()
        await until(lambda: worker.broker.is_connected and broker.is_connected)
        async with listening_to(broker) as heard:
            await until(lambda: heard.samples)
        await send(broker, "a")
        await until(lambda: worker._parts.activity.progress == 1, timeout_s=30)


async def test_what_is_too_large_for_a_message_travels_as_several(broker: Broker) -> None:
    metrics = tuple(wide(600).model_copy(update={"name": f"waggle.wide.{n}"}) for n in range(8))
    publisher = MetricsPublisher(
        broker, _telling(Collected(metrics=metrics, pointless=0, overflowing=0)), service="tested", instance="i"
    )
    async with listening_to(broker) as heard:
        await publisher.publish()
        await until(lambda: sum(len(m.numbers) for s in heard.samples for m in s.metrics) == 8 * 600)
    assert len(heard.samples) > 1
    assert max(heard.sizes) <= 256 * 1024
    assert all(sample.resource == heard.samples[0].resource for sample in heard.samples)


async def test_a_collection_that_hangs_is_not_begun_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.samples.COLLECT_TIMEOUT_S", 0.05)
    release, begun = threading.Event(), list[int]()

    def collect() -> Collected:
        begun.append(1)
        release.wait(60)
        return Collected(metrics=(wide(1),), pointless=0, overflowing=0)

    publisher = MetricsPublisher(broker, replace(_telling(None), samples=collect), service="tested", instance="i")
    async with listening_to(broker) as heard:
        try:
            for _ in range(3):
                await publisher.publish()
            assert (heard.samples, len(begun)) == ([], 1)
        finally:
            release.set()
        await publisher.publish()
        await until(lambda: heard.samples)


async def test_what_cannot_be_collected_ends_no_process(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch, brisk_samples: None
) -> None:
    asked = list[int]()

    def fail() -> Collected:
        asked.append(1)
        raise TypeError("an instrument of another kind")

    broken = replace(_telling(None), samples=fail)
    monkeypatch.setattr("messaging.running.process_telemetry", lambda *_, **__: broken)
    handling(worker)
    async with running(worker):
        await until(lambda: len(asked) >= 3)
        await send(broker, "a")
        await until(lambda: worker._parts.activity.progress == 1)


async def test_two_who_publish_at_once_are_told_the_same(broker: Broker) -> None:
    """As the last sample of a process and one that is under way then."""
    collected = Collected(metrics=(wide(1),), pointless=0, overflowing=0)
    publisher = MetricsPublisher(broker, _telling(collected), service="tested", instance="i")
    async with listening_to(broker) as heard:
        for _ in range(50):
            await asyncio.gather(*(publisher.publish() for _ in range(4)))
        await until(lambda: len(heard.samples) == 200)


def wide(points: int) -> Metric:
    return Metric(
        name="waggle.wide",
        kind=MetricKind.COUNTER,
        numbers=tuple(NumberPoint(attributes={"http.route": f"{n:0>200}"}, value=n) for n in range(points)),
    )


def _telling(collected: Collected | None) -> Telemetry:
    nothing = Collected(metrics=(), pointless=0, overflowing=0)
    return replace(Telemetry.off(), samples=lambda: collected or nothing, resource={"service.name": "waggle-tested"})
