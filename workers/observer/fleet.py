"""All that the fleet tells, gathered for the observer, judged, and shown at its `/metrics`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

from opentelemetry.metrics import Meter

from contracts.settings import ObserverSettings
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.intake import FleetListener
from observability.exposition.formats import Format, as_json, as_text
from observability.exposition.latest import latest_families
from observability.intake import Intake
from observability.intake.catalogue import SERVICE_EXPECTED
from observability.intake.expectation import WINDOW_S
from observability.intake.figures import measure
from observability.metadata import MetadataRegistry
from observability.promql import SeriesSource, parse
from workers.observer.exposition import MetricsEndpoint
from workers.observer.health import HealthWatch
from workers.observer.intake import Heard, Series

REMEMBERED_MS: Final = int(WINDOW_S * 1000)


class FleetIntake:
    """Listens to the fleet, appends to `series`, and shows their present values. It runs whether the observer leads or not."""

    def __init__(
        self,
        broker: Broker,
        series: Series,
        *,
        service: str,
        settings: ObserverSettings,
        meter: Meter,
        table: Topology | None = None,
    ) -> None:
        """`service` is the name under which this process tells its heartbeats."""
        self.series = series
        self._broker = broker
        self._intake = Intake(
            series,
            now_ms=broker.clock.now_ms,
            monotonic=time.monotonic,
            expected=settings.expected_processes,
            known=_expected_before(series, broker.clock.now_ms()),
            own=(service, settings.instance),
        )
        self.listener = FleetListener(broker, self._intake, table=table)
        self.endpoint = MetricsEndpoint(self.rendered, host=settings.observer_host, port=settings.observer_port)
        self.health = HealthWatch(self._intake, series, broker.clock, table or Topology())
        measure(self._intake, meter, dropped=lambda: self.listener.dropped)

    @property
    def metadata(self) -> MetadataRegistry:
        """What the metrics are that were heard of."""
        return self._intake.metadata

    def heard(self) -> Heard:
        """The processes as they were last heard, and what waits for them by the last look at the broker."""
        look, waiting = self._intake.broker_look, Counter[str]()
        for consumer in () if look is None or look.facts is None else look.facts.consumers:
            waiting[self.health.graph.named(consumer.name)] += consumer.pending
        processes = self._intake.processes
        return Heard(processes=tuple(processes.seen()), hears=processes.hears, waiting=waiting)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.listener.run())
                tasks.create_task(self.endpoint.run())
                tasks.create_task(self.health.run())
        finally:
            self._intake.end()

    def rendered(self, wanted: Format) -> bytes:
        """The present values of all series. Takes a while: call it in a thread."""
        families = latest_families(self.series, self.metadata, at_ms=self._broker.clock.now_ms())
        return as_json(families) if wanted is Format.JSON else as_text(families)


def _expected_before(series: SeriesSource, at_ms: int) -> dict[str, int]:
    """How many processes of each service were expected when the last observer died here, if that was minutes ago. One that
    was told to stop has ended these series.
    """
    found = parse(SERVICE_EXPECTED).instant(series, at_ms=at_ms, lookback_ms=REMEMBERED_MS)
    return {labels["service"]: int(number) for labels, number in found.samples if number > 0}
