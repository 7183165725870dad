"""An intake on a real broker, brisk enough for a test to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from contracts.topology import Topology
from messaging.broker import Broker
from messaging.intake import FleetListener
from observability.intake import Intake
from observability.promql import Labels, MemorySeries, parse


@dataclass
class Listening:
    """What a fleet tells, as series in memory."""

    broker: Broker
    series: MemorySeries
    intake: Intake
    listener: FleetListener

    @property
    def now_ms(self) -> int:
        return self.broker.clock.now_ms()

    def all(self, expression: str) -> dict[Labels, float]:
        """What an expression yields now."""
        return dict(parse(expression).instant(self.series, at_ms=self.now_ms).samples)

    def value(self, expression: str) -> float | None:
        """The one value that an expression yields now; None when there is none."""
        found = self.all(expression)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)


def make_brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge, look and write at once instead of every few seconds."""
    monkeypatch.setattr("messaging.intake.JUDGE_INTERVAL_S", 0.05)
    monkeypatch.setattr("messaging.intake.LOOK_INTERVAL_S", 0.1)
    monkeypatch.setattr("observability.intake.intake.TALLY_INTERVAL_S", 0.0)


@asynccontextmanager
async def listening_intake(broker: Broker, table: Topology | None = None) -> AsyncIterator[Listening]:
    """Listen during the body."""
    series = MemorySeries()
    intake = Intake(series, now_ms=broker.clock.now_ms, monotonic=time.monotonic)
    listener = FleetListener(broker, intake, table=table)
    listens = asyncio.create_task(listener.run())
    try:
        async with asyncio.timeout(20):
            await listener.subscribed.wait()
        yield Listening(broker, series, intake, listener)
    finally:
        listens.cancel()
        await asyncio.wait({listens})
    assert listens.cancelled(), listens
