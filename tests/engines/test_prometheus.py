"""A real Prometheus scrapes the gateway and the observer, and its tool finds nothing to complain of."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.metrics import NoOpMeterProvider

from contracts import subjects
from contracts.metrics import HistogramPoint, Metric, MetricKind, NumberPoint
from contracts.settings import GatewaySettings, ObserverSettings
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.self_measurement import process_telemetry
from observability.exposition.formats import as_text
from observability.exposition.latest import latest_families
from observability.intake import CATALOGUE
from observability.promql import Labels, MemorySeries
from observability.telemetry import Telemetry
from tests.support.fleets import Process, Site
from tests.support.gateways import running_gateway
from tests.support.listening import make_brisk
from tests.support.prometheus import Prometheus
from tests.support.promtool import promtool
from tests.support.waiting import until
from tests.support.workers import running
from workers.observer.fleet import FleetIntake

WAIT_S = 30.0
TELEMETRY = Path(__file__).parents[2] / "docs" / "telemetry.md"


@pytest.fixture(autouse=True)
def brisk_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    make_brisk(monkeypatch)
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.2)
    monkeypatch.setattr("messaging.running.SAMPLE_INTERVAL_S", 0.2)


@pytest.fixture
def telemetry(nats_server: NatsServer) -> Telemetry:
    return process_telemetry("gateway", GatewaySettings(nats_url=nats_server.url, instance="door"), prometheus=True)


@asynccontextmanager
async def observing(broker: Broker, nats_url: str) -> AsyncIterator[FleetIntake]:
    settings = ObserverSettings(nats_url=nats_url, instance="observer-1", observer_port=0, expected="tested=1")
    meter = NoOpMeterProvider().get_meter("test")
    intake = FleetIntake(broker, MemorySeries(), service="observer", settings=settings, meter=meter)
    task = asyncio.create_task(intake.run())
    try:
        await until(lambda: intake.endpoint.listening.is_set() and intake.listener.subscribed.is_set())
        yield intake
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled(), task


def complaints(page: bytes) -> str:
    """What `promtool check metrics` says of a page."""
    ran = subprocess.run([promtool(), "check", "metrics"], input=page, capture_output=True, check=False, timeout=60)
    return (ran.stdout + ran.stderr).decode() + f"ends with {ran.returncode}"


async def test_prometheus_and_its_tool_take_both_pages(
    broker: Broker, worker: WorkerApp, nats_server: NatsServer, telemetry: Telemetry, tmp_path: Path
) -> None:
    async with (
        observing(broker, nats_server.url) as observer,
        running(worker),
        running_gateway(nats_server.url, telemetry=telemetry, instance="door") as gateway,
        httpx.AsyncClient(trust_env=False, timeout=20) as http,
    ):
        await gateway.ready()

        async def is_whole() -> bool:
            page = (await http.get(observer.endpoint.url)).text
            wanted = (
                "waggle_up{",
                "process_memory_usage_bytes{",
                "waggle_stream_messages{",
                "waggle_service_expected{",
            )
            return all(start in page for start in wanted)

        await until(is_whole, timeout_s=WAIT_S)
        pages = {"gateway": f"{gateway.url}/metrics", "observer": observer.endpoint.url}
        for page in pages.values():
            text = await http.get(page)
            assert complaints(text.content) == "ends with 0", page
            as_json = json.loads((await http.get(page, params={"format": "json"})).content)
            families = {line.split()[2] for line in text.text.splitlines() if line.startswith("# TYPE ")}
            assert families <= {family["name"] for family in as_json["metrics"]}
        jobs = [
            {"job_name": name, "honor_labels": True, "static_configs": [{"targets": [httpx.URL(url).netloc.decode()]}]}
            for name, url in pages.items()
        ]
        with Prometheus(tmp_path, jobs) as prometheus:

            async def are_scraped() -> bool:
                return await prometheus.targets() == {"gateway": "up", "observer": "up"}

            await until(are_scraped, timeout_s=WAIT_S)

            async def is_told() -> bool:
                return await prometheus.value('waggle_up{service="tested",instance="worker-1"}') == 1

            await until(is_told, timeout_s=WAIT_S)
            assert await prometheus.value('waggle_service_expected{service="tested"}') == 1
            assert await prometheus.value('waggle_stream_messages{stream="DLQ"}') == 0
            answered = (
                'sum(http_server_request_duration_seconds_count{http_route="/metrics",http_request_method="GET"})'
            )

            async def are_counted() -> bool:  # from the second scrape on
                return (await prometheus.value(answered) or 0) > 0

            await until(are_counted, timeout_s=WAIT_S)
    telemetry.shutdown()


async def test_the_tool_takes_every_metric_that_there_is(site: Site) -> None:
    """Of those that are documented, and of what the observer makes itself."""
    process = Process()
    rows = [line.split("|") for line in TELEMETRY.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    for row in rows:
        kind, _, unit = row[2].strip().partition(", ")
        for name in re.findall(r"`([a-z_]+\.[a-z_.]+)`", row[1]):
            if kind in {*MetricKind}:
                sample = process.sample(site.time, _metric(name, MetricKind(kind), unit))
                site.intake.sample(subjects.metrics(process.service, process.instance), sample.to_bytes())
    for name, told in CATALOGUE.items():
        if told.kind is not MetricKind.HISTOGRAM:
            site.series.append(Labels({"__name__": name, "service": "s"}), time_ms=site.now_ms, value=1)
    site.pass_(12, process)
    families = latest_families(site.series, site.intake.metadata, at_ms=site.now_ms)
    assert len(families) > len(CATALOGUE) + 40
    assert complaints(as_text(families)) == "ends with 0"


@pytest.fixture
def site() -> Site:
    return Site()


def _metric(name: str, kind: MetricKind, unit: str) -> Metric:
    if kind is MetricKind.HISTOGRAM:
        points = (HistogramPoint(count=1, sum=1, counts=(1, 0)),)
        return Metric(name=name, kind=kind, unit=unit, description="d", bounds=(1.0,), histograms=points)
    return Metric(name=name, kind=kind, unit=unit, description="d", numbers=(NumberPoint(value=1),))
