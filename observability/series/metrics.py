"""The store in figures: `waggle.observer.…`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from observability.series.store import StoreFigures
from observability.snapshots import Snapshot

SOURCE_SERVICE = "waggle.source.service"


class StoreMetrics:
    """Instruments that tell what `figures` says, looked up once for all of them."""

    def __init__(self, meter: Meter, figures: Callable[[], StoreFigures]) -> None:
        self._refused: Mapping[str, int] = {}
        self._figures = figures
        self._snapshot = Snapshot(self._read)
        meter.create_observable_gauge(
            "waggle.observer.series", self._of("series"), unit="{series}", description="Series in memory."
        )
        meter.create_observable_gauge(
            "waggle.observer.series.size", self._of("size"), unit="By", description="What their samples take in memory."
        )
        meter.create_observable_counter(
            "waggle.observer.series.refused",
            [self._by_service],
            unit="{sample}",
            description="Samples of new series, refused because their source, or all together, had too many series.",
        )
        meter.create_observable_counter(
            "waggle.observer.samples.refused",
            self._of("samples.refused"),
            unit="{sample}",
            description="Samples that were not newer than their series' last one.",
        )
        meter.create_observable_counter(
            "waggle.observer.clock.steps", self._of("clock.steps"), description="How often the clock was set back."
        )
        meter.create_observable_gauge(
            "waggle.observer.rollups.available",
            self._of("rollups.available"),
            description="1 while roll-ups can be written and read, 0 while memory goes on alone.",
        )
        meter.create_observable_gauge(
            "waggle.observer.rollups.size", self._of("rollups.size"), unit="By", description="Roll-ups on disk."
        )
        meter.create_observable_counter(
            "waggle.observer.rollups.failures",
            self._of("rollups.failures"),
            description="Writes and reads of roll-ups that failed; what was not written is tried again.",
        )
        meter.create_observable_counter(
            "waggle.observer.rollups.put_aside",
            self._of("rollups.put_aside"),
            unit="{file}",
            description="Files of roll-ups that were of no use any more.",
        )
        meter.create_observable_counter(
            "waggle.observer.rollups.lost",
            self._of("rollups.lost"),
            unit="{batch}",
            description="Batches of roll-ups that were damaged, or deleted early because the file was full.",
        )

    def _read(self) -> dict[str, float]:
        found = self._figures()
        by_service: Counter[str] = Counter()
        for source, count in found.refused_series.items():
            by_service[source.service] += count
        self._refused = by_service
        return {
            "series": found.series,
            "size": found.samples_bytes,
            "samples.refused": found.refused_samples,
            "clock.steps": found.clock_steps,
            "rollups.available": found.disk.available,
            "rollups.size": found.disk.size_bytes,
            "rollups.failures": found.disk.failures,
            "rollups.put_aside": found.disk.put_aside_files,
            "rollups.lost": found.disk.damaged_batches + found.disk.deleted_batches,
        }

    def _of(self, figure: str) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
        return [lambda _: [Observation(self._snapshot.of(figure))]]

    def _by_service(self, _: CallbackOptions) -> Iterable[Observation]:
        self._snapshot.all()
        return [Observation(count, {SOURCE_SERVICE: service}) for service, count in self._refused.items()]
