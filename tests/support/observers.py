"""Observers for tests: with a short lease, series that a test sets, and a receiver of what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from contracts import topology
from contracts.observing import RequestKind
from contracts.settings import ObserverSettings
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.observing import Handler
from observability.dependencies import DependencyGraph, fleet_graph
from observability.intake.processes import SeenProcess
from observability.promql import Labels, MemorySeries
from tests.support.receivers import HttpReceiver
from tests.support.topologies import brisk
from tests.support.workers import running
from workers.observer.intake import Heard
from workers.observer.rhythm import Rhythm
from workers.observer.term import Duty
from workers.observer.worker import Parts, build

LEASE_S = 2.0
QUICK = Rhythm(warm_up_s=0, look_s=0.1, poll_s=1.0, remind_s=1.0, candidacy_s=0.2, settle=timedelta())

DOWN = (
    "groups: [{name: fleet, interval: 200ms, rules: [{alert: Down, expr: down > 0, labels: {severity: critical}}]}]\n"
)
ALWAYS = DOWN.replace("down > 0", "vector(1)")
NOTHING = "groups: []\n"


def table() -> Topology:
    """The topology with a lease that a test can wait for."""
    short = replace(topology.LEASES, ttl_s=LEASE_S)
    others = tuple(bucket for bucket in topology.KEY_VALUES if bucket.name != short.name)
    return replace(brisk(), key_values=(*others, short))


def notification_config(receiver: HttpReceiver) -> str:
    return f"""
route: {{receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
receivers: [{{name: team, channels: [hook]}}]
channels: {{hook: {{kind: webhook, url: '{receiver.url}/hook', timeout: 5s}}}}
"""


def told(receiver: HttpReceiver) -> list[tuple[str, str]]:
    """What arrived: the status of each message's alerts, with their names."""
    return [
        (alert["status"], alert["labels"]["alertname"]) for each in receiver.received for alert in each.json["alerts"]
    ]


async def _nothing(_: int) -> None:
    await asyncio.Event().wait()


class HandFed:
    """Series that have the values that a test sets, from then on."""

    def __init__(self) -> None:
        self.series = MemorySeries()
        self.values: dict[str, float] = {}
        self.processes: list[SeenProcess] = []
        self._app: WorkerApp | None = None

    def of(self, app: WorkerApp) -> HandFed:
        self._app = app
        return self

    async def run(self) -> None:
        assert self._app is not None
        while True:
            at_ms = self._app.broker.clock.now_ms()
            for name, value in self.values.items():
                self.series.append(Labels({"__name__": name}), time_ms=at_ms, value=value)
            await asyncio.sleep(0.05)

    @property
    def graph(self) -> DependencyGraph:
        return fleet_graph(())

    def heard(self) -> Heard:
        return Heard(processes=tuple(self.processes), hears=True, waiting={})

    def handlers(self) -> dict[RequestKind, Handler]:
        return {}


class Observer:
    """One observer in this process."""

    def __init__(self, app: WorkerApp, parts: Parts, intake: HandFed) -> None:
        self.app = app
        self.parts = parts
        self.values = intake.values

    @property
    def leads(self) -> bool:
        return self.parts.leadership.leads


@asynccontextmanager
async def observing(
    nats_url: str,
    *,
    rules: Path,
    notify: Path | None = None,
    instance: str = "observer-1",
    rhythm: Rhythm = QUICK,
    duty: Duty = _nothing,
) -> AsyncIterator[Observer]:
    """Run an observer with the rules of a file or folder, and one duty; it is stopped in order at the end."""
    settings = ObserverSettings(
        nats_url=nats_url,
        instance=instance,
        rules=str(rules),
        shipped_rules=False,
        notify_config=notify,
        notify_allowed_networks="127.0.0.1/32",
    )
    fed = HandFed()
    known: list[Parts] = []

    def remember(parts: Parts) -> Duty:
        known.append(parts)
        return duty

    app = build(settings, table=table(), rhythm=rhythm, intake=fed.of, duties=(remember,))
    async with running(app):
        yield Observer(app, known[0], fed)
