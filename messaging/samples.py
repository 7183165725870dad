"""A process tells the fleet every few seconds what it has measured.

Plain NATS, not stored, like heartbeats: the next sample says all that a lost one did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import nats.errors
import structlog
from opentelemetry.metrics import Observation

from contracts import subjects
from contracts.metrics import METRICS_INTERVAL_S, MetricsSample
from messaging.broker import Broker
from observability.samples import PORTION_BYTES, Collected, portions
from observability.telemetry import Telemetry

COLLECT_TIMEOUT_S = 5.0
LAST_TIMEOUT_S = 2.0
"""How long the last sample may hold up the end of the process."""
ENVELOPE_BYTES = 16 * 1024
"""What a message holds beside its metrics."""

log = structlog.get_logger(__name__)


class MetricsPublisher:
    """Publishes this process's metrics every `interval_s`; times in them are the broker's.

    While the broker is away samples are dropped, not kept. Collecting happens in a thread: some figures take a look at
    the host. One that hangs there is not begun again.
    """

    def __init__(
        self,
        broker: Broker,
        telemetry: Telemetry,
        *,
        service: str,
        instance: str,
        interval_s: float = METRICS_INTERVAL_S,
    ) -> None:
        self._broker = broker
        self._telemetry = telemetry
        self._service = service
        self._instance = instance
        self._interval_s = interval_s
        self._subject = subjects.metrics(service, instance)
        self._started_at = broker.clock.now() - timedelta(seconds=time.monotonic() - telemetry.began)
        self._collecting: asyncio.Future[Collected] | None = None
        self._overflowing = 0
        self._unreadable = telemetry.meter.create_counter(
            "waggle.telemetry.points.dropped", unit="{point}", description="Sums that are no number any more."
        )
        telemetry.meter.create_observable_gauge(
            "waggle.telemetry.overflowing",
            [lambda _: [Observation(self._overflowing)]],
            unit="{instrument}",
            description="Instruments with more series than are kept apart.",
        )
        telemetry.meter.create_observable_gauge(
            "waggle.process.clock.offset",
            [lambda _: [Observation(broker.clock.host_ahead_s)] if broker.clock.synchronised else []],
            unit="s",
            description="How far the clock of the host is ahead of the broker's.",
        )

    async def run(self) -> None:
        """Publish until cancelled; returns at once if nothing is to be told."""
        if self._telemetry.samples is None:
            return
        while True:
            await asyncio.sleep(self._interval_s)
            await self.publish()

    async def publish_last(self) -> None:
        """Tell what was counted since the last sample, before the process ends."""
        try:
            async with asyncio.timeout(LAST_TIMEOUT_S):
                await self.publish()
        except TimeoutError:
            log.debug("the last metrics were not told", reason="collecting them took too long")

    async def publish(self) -> None:
        """Collect and publish now, if connected."""
        collect = self._telemetry.samples
        if collect is None or not self._broker.is_connected:
            return
        collected = await self._collected(collect)
        if collected is None:
            return
        self._overflowing = collected.overflowing
        if collected.pointless:
            self._unreadable.add(collected.pointless)
        try:
            for portion in portions(collected.metrics, size_bytes=self._portion_bytes()):
                sample = MetricsSample(
                    created_at=self._broker.clock.now(),
                    service=self._service,
                    instance=self._instance,
                    started_at=self._started_at,
                    resource=dict(self._telemetry.resource),
                    metrics=portion,
                )
                await self._broker.nc.publish(self._subject, sample.to_bytes())
        except (nats.errors.Error, OSError) as error:
            log.debug("metrics not sent", reason=str(error))

    async def _collected(self, collect: Callable[[], Collected]) -> Collected | None:
        """None when collecting hangs or fails: a process is not to end of what it tells about itself."""
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.ensure_future(asyncio.to_thread(collect))
        collecting = self._collecting  # another call may begin the next one meanwhile
        done, _ = await asyncio.wait({collecting}, timeout=COLLECT_TIMEOUT_S)
        if not done:
            log.warning("collecting metrics hangs, this sample is left out", after_s=COLLECT_TIMEOUT_S)
            return None
        if (error := collecting.exception()) is not None:
            log.error("metrics cannot be collected, this sample is left out", reason=str(error), exc_info=error)
            return None
        return collecting.result()

    def _portion_bytes(self) -> int:
        """Fits into what the broker takes, should that be less than usual."""
        return max(1024, min(PORTION_BYTES, self._broker.nc.max_payload - ENVELOPE_BYTES))
