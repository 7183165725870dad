"""What the observer takes, as a real process with the shipped rules, and how soon it says that a worker is dead."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import psutil
import uvloop

from benchmarks.figures import Figure
from contracts import subjects
from contracts.alerts import AlertEvent
from contracts.metrics import Metric, MetricKind, MetricsSample, NumberPoint
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.provisioning import provision
from tests.support.waiting import until

INSTANCES: Final = 50
METRICS: Final = 20
SERIES_OF_METRIC: Final = 10
SAMPLES: Final = 360
"""Of each series: an hour of one each ten seconds."""
EVERY_S: Final = 0.25
DEATHS: Final = 5
WAIT_S: Final = 60.0
MiB: Final = 1024 * 1024


def measure() -> list[Figure]:
    """`observer_memory`: MiB of the observer with 10,000 series of an hour (171 MiB are 180 MB), beside its own. `observer_detection`: seconds from
    a worker that stands still to the event of its alert, median and longest of five.
    """
    with TemporaryDirectory(prefix="waggle-bench-") as folder, NatsServer(Path(folder) / "nats") as server:
        return uvloop.run(_measured(server.url, Path(folder)))


async def _measured(url: str, folder: Path) -> list[Figure]:
    broker = await Broker.connect(BrokerSettings(nats_url=url), name="bench")
    await provision(broker)
    with _worker("observer", url, folder) as observer:
        async with _alerts(broker) as alerts:
            await _ready(broker, "observer")
            took = [await _noticed(broker, alerts, url, folder, number) for number in range(DEATHS)]
        at_rest = _memory_bytes(observer, folder)
        await _fill(broker)
        filled = _memory_bytes(observer, folder)
    await broker.close()
    return [
        Figure(name="observer_detection", value=median(took), unit="s"),
        Figure(name="observer_detection_longest", value=max(took), unit="s", bar="<= 15"),
        Figure(name="observer_memory_at_rest", value=at_rest / MiB, unit="MiB"),
        Figure(name="observer_memory", value=filled / MiB, unit="MiB", bar="<= 171"),
    ]


def _memory_bytes(observer: psutil.Process, folder: Path) -> int:
    """A process that has ended takes none, which says nothing."""
    if not observer.is_running() or observer.status() == psutil.STATUS_ZOMBIE:
        log = (folder / "observer.log").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"the observer has ended; the end of its log:\n{log[-4000:]}")
    return int(observer.memory_info().rss)


async def _noticed(broker: Broker, alerts: asyncio.Queue[AlertEvent], url: str, folder: Path, number: int) -> float:
    """Seconds until a keeper that stands still is told of."""
    instance = f"keeper-{number}"
    with _worker("keeper", url, folder, instance=instance) as keeper:
        await _ready(broker, instance)
        await asyncio.sleep(3 * number % 7)  # anywhere between two heartbeats and two evaluations
        keeper.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        async with asyncio.timeout(WAIT_S):
            while (await alerts.get()).labels.get("instance") != instance:
                pass
        return time.monotonic() - begun


async def _fill(broker: Broker) -> None:
    """Tell the samples of an hour, and wait until they are taken."""
    began = datetime.now(UTC)
    for number in range(SAMPLES):
        due = time.monotonic() + EVERY_S
        for instance in range(INSTANCES):
            sample = _sample(instance, float(number), began)
            await broker.nc.publish(subjects.metrics(sample.service, sample.instance), sample.to_bytes())
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.sleep(5)


def _sample(instance: int, value: float, began: datetime) -> MetricsSample:
    points = tuple(NumberPoint(attributes={"kind": f"k{n}"}, value=value + n) for n in range(SERIES_OF_METRIC))
    metrics = tuple(
        Metric(name=f"bench.metric_{n}", kind=MetricKind.COUNTER, description="Of a benchmark.", numbers=points)
        for n in range(METRICS)
    )
    return MetricsSample(service="bench", instance=f"bench-{instance}", started_at=began, metrics=metrics)


@contextmanager
def _worker(service: str, url: str, folder: Path, *, instance: str | None = None) -> Iterator[psutil.Process]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAGGLE_")}
    environment |= {
        "WAGGLE_NATS_URL": url,
        "WAGGLE_DATA_DIR": str(folder),
        "WAGGLE_INSTANCE": instance or service,
        "WAGGLE_OBSERVER_PORT": "0",
    }
    with (folder / f"{instance or service}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "worker", service], env=environment, stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait(WAIT_S)


async def _ready(broker: Broker, instance: str) -> None:
    view = FleetView(broker)
    await view.start()
    await until(
        lambda: any(m.heartbeat.instance == instance and m.heartbeat.state == "ready" for m in view.members()),
        timeout_s=WAIT_S,
        what=f"{instance} is ready",
    )
    await view.stop()


@asynccontextmanager
async def _alerts(broker: Broker) -> AsyncIterator[asyncio.Queue[AlertEvent]]:
    """Alerts that begin to fire."""
    fired: asyncio.Queue[AlertEvent] = asyncio.Queue()

    async def hear(message: object) -> None:
        event = AlertEvent.from_bytes(message.data)  # type: ignore[attr-defined]  # nats-py's Msg
        if event.is_firing and event.name == "InstanceDead":
            fired.put_nowait(event)

    subscription = await broker.nc.subscribe(f"{subjects.ALERTS}.>", cb=hear)
    yield fired
    await subscription.unsubscribe()
