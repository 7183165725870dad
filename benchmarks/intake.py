"""What it takes to hear a fleet: heartbeats a second on one core, and whether any is lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop

from benchmarks.figures import Figure
from contracts import subjects
from contracts.health import BackendCheck, CheckStatus, Heartbeat, ProcessState
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.intake import FleetListener
from messaging.provisioning import provision
from observability.intake import Intake
from observability.promql import MemorySeries, parse
from tests.support.waiting import until

INSTANCES: Final = 500
RATE: Final = 10_000
SECONDS: Final = 10
BURST: Final = 500
BAR: Final = f">= {RATE}"
SETTLE_S: Final = 30.0


def measure() -> list[Figure]:
    """`intake_heartbeats`: what one core takes in a second, series and liveness included, through a real broker while ten
    thousand a second arrive. `intake_lost`: how many of those it did not take, and processes whose newest heartbeat it
    does not know. `intake_heartbeats_pure`: the same without the broker, judged as often for each heartbeat.
    """
    with TemporaryDirectory(prefix="waggle-bench-") as folder, NatsServer(Path(folder)) as server:
        taken_per_s, lost = uvloop.run(_through_the_broker(server.url))
    return [
        Figure(name="intake_heartbeats", value=taken_per_s, unit="1/s of a core", bar=BAR),
        Figure(name="intake_lost", value=lost, unit="heartbeats", bar="<= 0"),
        Figure(name="intake_heartbeats_pure", value=_pure(), unit="1/s of a core"),
    ]


async def _through_the_broker(url: str) -> tuple[float, int]:
    broker = await Broker.connect(BrokerSettings(nats_url=url), name="intake")
    await provision(broker)
    series = MemorySeries()
    intake = Intake(series, now_ms=broker.clock.now_ms, monotonic=time.monotonic)
    listener = FleetListener(broker, intake)
    listens = asyncio.create_task(listener.run())
    await listener.subscribed.wait()
    begun, fleet = time.process_time(), multiprocessing.get_context("spawn").Process(target=_fleet, args=(url,))
    fleet.start()
    await asyncio.to_thread(fleet.join)
    with suppress(AssertionError):  # what has not arrived by then is lost
        await until(lambda: intake.heartbeats + listener.dropped >= RATE * SECONDS, timeout_s=SETTLE_S)
    spent_s = time.process_time() - begun
    intake.tick(listening=True)
    newest = parse("waggle_process_progress_total").instant(series, at_ms=broker.clock.now_ms()).values
    unknown = INSTANCES - int((newest == RATE * SECONDS // INSTANCES).sum())
    listens.cancel()
    await asyncio.wait({listens})
    await broker.close()
    return intake.heartbeats / spent_s, RATE * SECONDS - intake.heartbeats + unknown


def _fleet(url: str) -> None:
    """Another process: tells the heartbeats of a fleet, ten thousand a second."""
    uvloop.run(_tell(url))


async def _tell(url: str) -> None:
    broker = await Broker.connect(BrokerSettings(nats_url=url), name="fleet")
    begun = time.monotonic()
    for number in range(RATE * SECONDS):
        beat = _beat(number % INSTANCES, progress=number // INSTANCES + 1)
        await broker.nc.publish(subjects.health(beat.service, beat.instance), beat.to_bytes())
        if number % BURST == 0:
            await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
    await broker.close()


def _pure() -> float:
    series, began = MemorySeries(), time.monotonic()
    intake = Intake(series, now_ms=lambda: round(time.time() * 1000), monotonic=time.monotonic)
    told = [(subjects.health(b.service, b.instance), b.to_bytes()) for b in (_beat(n, 1) for n in range(INSTANCES))]
    spent, number = time.process_time(), 0
    while time.monotonic() - began < 2:
        for subject, data in told:
            intake.heartbeat(subject, data)
        number += len(told)
        if number % (2 * RATE) == 0:
            intake.tick(listening=True)
    return number / (time.process_time() - spent)


def _beat(number: int, progress: int) -> Heartbeat:
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    checks = tuple(
        BackendCheck(name=name, status=CheckStatus.OK, latency_ms=1.5, detail="breaker closed")
        for name in ("index", "encoder")
    )
    return Heartbeat(
        service=f"service-{number % 6}",
        instance=f"instance-{number}",
        host="host",
        version="1",
        pid=number,
        started_at=started,
        state=ProcessState.READY,
        in_flight=1,
        oldest_in_flight_s=0.5,
        progress=progress,
        last_progress_at=started,
        rss_bytes=100_000_000,
        cpu_s=1.0,
        checks=checks,
        facts={"index": "lancedb:chunks"},
    )
