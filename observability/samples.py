"""What the SDK has measured, as `Metric`s of our contract, in portions that fit into a message."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.util.types import AttributeValue

from contracts.metrics import (
    LONGEST_VALUE,
    MOST_ATTRIBUTES,
    MOST_BUCKETS,
    HistogramPoint,
    Metric,
    MetricKind,
    NumberPoint,
)
from observability.cardinality import OVERFLOW

PORTION_BYTES = 240 * 1024
"""What the metrics of one message may take; payloads stay below 256 KiB."""
POINTS_AT_ONCE = 512
"""Points of one metric are told in pieces of so many, the smallest thing that portions are made of."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The metrics of one collection.

    `pointless` counts points that hold no finite number, `overflowing` the instruments with more series than are kept
    apart.
    """

    metrics: tuple[Metric, ...]
    pointless: int
    overflowing: int


class SampleReader(export.MetricReader):
    """Hands over what all instruments have counted since the process began, whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._data: export.MetricsData | None = None

    def read(self) -> Collected:
        """Collect now. Runs the callbacks of observable instruments; call it outside of the event loop."""
        self._data = None
        self.collect()
        return converted(self._data)

    def _receive_metrics(self, metrics_data: export.MetricsData, timeout_millis: float = 10_000, **_: object) -> None:
        self._data = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """Nothing is kept."""


class SharingReader(export.PeriodicExportingMetricReader):
    """Exports what has been counted every so often, and hands it over whenever it is asked.

    One reader for both ways, since each reader counts everything on its own; see `can_share`.
    """

    def __init__(self, exporter: export.MetricExporter, *, interval_s: float, timeout_s: float) -> None:
        self._reading = threading.local()
        super().__init__(exporter, export_interval_millis=interval_s * 1000, export_timeout_millis=timeout_s * 1000)

    def read(self) -> Collected:
        """As `SampleReader.read`; nothing is exported by it."""
        self._reading.data, self._reading.now = None, True
        try:
            self.collect()
        finally:
            self._reading.now = False
        return converted(self._reading.data)

    def _receive_metrics(
        self, metrics_data: export.MetricsData, timeout_millis: float = 10_000, **options: object
    ) -> None:
        if getattr(self._reading, "now", False):
            self._reading.data = metrics_data
        else:
            super()._receive_metrics(metrics_data, timeout_millis, **options)


def can_share(exporter: export.MetricExporter) -> bool:
    """Whether an exporter takes what samples tell: totals since the start, histograms with explicit buckets."""
    temporalities = (exporter._preferred_temporality or {}).values()  # noqa: SLF001 (readers of the SDK ask the same way)
    aggregations = (exporter._preferred_aggregation or {}).values()  # noqa: SLF001
    return all(each is export.AggregationTemporality.CUMULATIVE for each in temporalities) and not any(
        isinstance(each, ExponentialBucketHistogramAggregation) for each in aggregations
    )


def converted(data: export.MetricsData | None) -> Collected:
    """What of the SDK's data can be told. Sums that are no finite number any more are left out."""
    found = [
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    conversions = [_Conversion(metric) for metric in found]
    return Collected(
        metrics=tuple(piece for conversion in conversions for piece in conversion.pieces()),
        pointless=sum(conversion.pointless for conversion in conversions),
        overflowing=sum(conversion.overflows for conversion in conversions),
    )


def portions(metrics: Iterable[Metric], *, size_bytes: int = PORTION_BYTES) -> Iterator[tuple[Metric, ...]]:
    """`metrics` in groups that take up to `size_bytes` each; one that is larger by itself is halved until it fits."""
    group: list[Metric] = []
    taken = 0
    for metric, size in _sized(metrics, size_bytes):
        if group and taken + size > size_bytes:
            yield tuple(group)
            group, taken = [], 0
        group.append(metric)
        taken += size
    if group:
        yield tuple(group)


class _Conversion:
    """One metric of the SDK on its way."""

    def __init__(self, metric: export.Metric) -> None:
        self._metric = metric
        self._data: Any = metric.data
        self.pointless = 0
        self.overflows = any(OVERFLOW in (point.attributes or {}) for point in self._data.data_points)

    def pieces(self) -> list[Metric]:
        """The metric in pieces of a bounded number of points."""
        if isinstance(self._data, export.Histogram):
            return self._histogram(self._data)
        if isinstance(self._data, export.Sum):
            return self._numbers(self._data.data_points, counter=self._data.is_monotonic)
        if isinstance(self._data, export.Gauge):
            return self._numbers(self._data.data_points, counter=False)
        raise TypeError(
            f"{self._metric.name}: a {type(self._data).__name__} cannot be told, only sums, gauges and histograms"
        )

    def _numbers(self, points: Sequence[export.NumberDataPoint], *, counter: bool) -> list[Metric]:
        finite = [point for point in points if math.isfinite(point.value)]
        self.pointless += len(points) - len(finite)
        kind = MetricKind.COUNTER if counter else MetricKind.GAUGE
        told = [NumberPoint(attributes=_texts(point.attributes), value=point.value) for point in finite]
        return [self._piece(kind, numbers=tuple(told[i : i + POINTS_AT_ONCE])) for i in _starts(told)]

    def _histogram(self, data: export.Histogram) -> list[Metric]:
        finite = [point for point in data.data_points if math.isfinite(point.sum)]
        self.pointless += len(data.data_points) - len(finite)
        if not finite:
            return []
        bounds = tuple(finite[0].explicit_bounds)[:MOST_BUCKETS]
        told = [
            HistogramPoint(
                attributes=_texts(point.attributes),
                count=point.count,
                sum=point.sum,
                counts=_up_to(len(bounds), point.bucket_counts),
            )
            for point in finite
        ]
        return [
            self._piece(MetricKind.HISTOGRAM, bounds=bounds, histograms=tuple(told[i : i + POINTS_AT_ONCE]))
            for i in _starts(told)
        ]

    def _piece(self, kind: MetricKind, **points: Any) -> Metric:
        metric = self._metric
        return Metric(
            name=metric.name, kind=kind, unit=metric.unit or "", description=(metric.description or "")[:1024], **points
        )


def _texts(attributes: Any) -> dict[str, str]:
    """Attributes as labels: texts, cut where they are too long."""
    return {name: _text(value)[:LONGEST_VALUE] for name, value in list((attributes or {}).items())[:MOST_ATTRIBUTES]}


def _text(value: AttributeValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _up_to(bounds: int, counts: Sequence[int]) -> tuple[int, ...]:
    """The counts of the first buckets, and of all above them together."""
    return (*counts[:bounds], sum(counts[bounds:]))


def _starts(points: Sequence[object]) -> range:
    return range(0, len(points), POINTS_AT_ONCE)


def _sized(metrics: Iterable[Metric], most_bytes: int) -> Iterator[tuple[Metric, int]]:
    for metric in metrics:
        size, points = len(metric.model_dump_json()), len(metric.numbers) + len(metric.histograms)
        if size <= most_bytes or points <= 1:
            yield metric, size
            continue
        half = points // 2
        yield from _sized(
            (
                metric.model_copy(update={"numbers": metric.numbers[part], "histograms": metric.histograms[part]})
                for part in (slice(None, half), slice(half, None))
            ),
            most_bytes,
        )
