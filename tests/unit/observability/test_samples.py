"""What the SDK counts reaches the contract whole, bounded and in portions that fit."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import Meter, Observation
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, export
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from contracts.metrics import LONGEST_VALUE, Metric, MetricKind, NumberPoint
from observability.cardinality import ATTRIBUTES, MOST_SERIES, OVERFLOW, bounded_views
from observability.samples import (
    PORTION_BYTES,
    Collected,
    SampleReader,
    SharingReader,
    can_share,
    converted,
    portions,
)


class Instruments:
    """A meter as processes have it, and what it tells."""

    def __init__(self) -> None:
        self._reader = SampleReader()
        self._provider = MeterProvider([self._reader], views=bounded_views(), shutdown_on_exit=False)
        self.meter: Meter = self._provider.get_meter("test")

    def told(self) -> Collected:
        return self._reader.read()

    def one(self) -> Metric:
        (metric,) = self.told().metrics
        return metric


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


def test_counters_add_up_from_sample_to_sample(instruments: Instruments) -> None:
    counter = instruments.meter.create_counter("c", unit="{x}", description="Told.")
    counter.add(2)
    assert instruments.one().numbers[0].value == 2
    counter.add(3)
    metric = instruments.one()
    assert (metric.kind, metric.numbers[0].value) == (MetricKind.COUNTER, 5)
    assert (metric.unit, metric.description) == ("{x}", "Told.")


def test_a_sum_that_may_fall_is_a_gauge(instruments: Instruments) -> None:
    instruments.meter.create_up_down_counter("u").add(-2)
    assert instruments.one().kind is MetricKind.GAUGE


def test_a_histogram_keeps_its_buckets(instruments: Instruments) -> None:
    histogram = instruments.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0, 2.0])
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.record(value)
    metric = instruments.one()
    (point,) = metric.histograms
    assert (metric.bounds, point.counts, point.count, point.sum) == ((1.0, 2.0), (2, 1, 1), 4, 102.0)


def test_buckets_beyond_the_bound_are_told_together(instruments: Instruments) -> None:
    histogram = instruments.meter.create_histogram(
        "h", explicit_bucket_boundaries_advisory=[float(n) for n in range(99)]
    )
    for value in range(99):
        histogram.record(value)
    (point,) = instruments.one().histograms
    assert (len(point.counts), sum(point.counts)) == (65, 99)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_told(instruments: Instruments, value: float) -> None:
    instruments.meter.create_observable_gauge(
        "g", [lambda _: [Observation(value), Observation(1, {"error.type": "a"})]]
    )
    instruments.meter.create_histogram("h").record(value)
    (metric,) = instruments.told().metrics
    assert [point.attributes for point in metric.numbers] == [{"error.type": "a"}]


def test_sums_that_grew_beyond_all_numbers_are_left_out_and_counted(instruments: Instruments) -> None:
    """The SDK takes no infinite value, but adds up finite ones until the sum is one; the contract would refuse it."""
    counter, histogram = instruments.meter.create_counter("c"), instruments.meter.create_histogram("h")
    for _ in range(2):
        counter.add(1.7e308)
        histogram.record(1.7e308)
    collected = instruments.told()
    assert (collected.metrics, collected.pointless) == ((), 2)


def test_a_callback_that_fails_takes_only_its_own_instrument_along(instruments: Instruments) -> None:
    def fail(_):
        raise OSError("gone")

    instruments.meter.create_observable_gauge("bad", [fail])
    instruments.meter.create_counter("good").add(1)
    assert [metric.name for metric in instruments.told().metrics] == ["good"]


def test_an_attribute_that_is_not_allowed_tells_nothing_apart(instruments: Instruments) -> None:
    """Without the allow-list, every id would be a series of its own."""
    counter = instruments.meter.create_counter("c")
    for n in range(5000):
        counter.add(1, {"waggle.outcome": "acked", "document_id": f"d{n}", "waggle.query_id": n})
    (point,) = instruments.one().numbers
    assert (point.attributes, point.value) == ({"waggle.outcome": "acked"}, 5000)


def test_a_flood_of_values_overflows_into_one_series_and_is_counted(instruments: Instruments) -> None:
    counter = instruments.meter.create_counter("c")
    for n in range(MOST_SERIES + 1000):
        counter.add(1, {"http.route": f"/{n}"})
    collected = instruments.told()
    points = [point for metric in collected.metrics for point in metric.numbers]
    (overflow,) = [point for point in points if point.attributes == {OVERFLOW: "true"}]
    assert len(points) == MOST_SERIES + 1
    assert overflow.value == 1000, "what overflows is still counted"
    assert collected.overflowing == 1


def test_without_our_views_a_flood_would_make_a_series_of_each_value() -> None:
    reader = SampleReader()
    counter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test").create_counter("c")
    for n in range(MOST_SERIES + 1000):
        counter.add(1, {"document_id": f"d{n}"})
    assert sum(len(metric.numbers) for metric in reader.read().metrics) == MOST_SERIES + 1000


def test_long_values_are_cut_and_flags_are_words(instruments: Instruments) -> None:
    instruments.meter.create_counter("c").add(1, {"http.route": "x" * 1000, "server.port": 80, "error.type": True})
    attributes = instruments.one().numbers[0].attributes
    assert attributes == {"http.route": "x" * LONGEST_VALUE, "server.port": "80", "error.type": "true"}


class Exporter(export.MetricExporter):
    """Keeps what it is given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.exported: list[export.MetricsData] = []

    def export(
        self, metrics_data: export.MetricsData, timeout_millis: float = 0, **_: Any
    ) -> export.MetricExportResult:
        self.exported.append(metrics_data)
        return export.MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        pass


def test_one_reader_exports_and_hands_over_and_neither_disturbs_the_other() -> None:
    exporter = Exporter()
    reader = SharingReader(exporter, interval_s=3600, timeout_s=1)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    counter = provider.get_meter("test").create_counter("c")
    counter.add(1)
    assert reader.read().metrics[0].numbers[0].value == 1
    assert exporter.exported == [], "reading exports nothing"
    counter.add(1)
    provider.force_flush()
    counter.add(1)
    assert reader.read().metrics[0].numbers[0].value == 3
    provider.shutdown()
    totals = [converted(data).metrics[0].numbers[0].value for data in exporter.exported]
    assert totals == [2, 3]


def test_an_exporter_of_differences_or_other_buckets_needs_a_reader_of_its_own() -> None:
    assert can_share(Exporter())
    assert not can_share(Exporter(preferred_temporality={Counter: export.AggregationTemporality.DELTA}))
    assert not can_share(Exporter(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()}))


def test_what_the_contract_has_no_place_for_is_refused_by_name() -> None:
    reader = SampleReader()
    views = [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    provider.get_meter("test").create_histogram("h").record(1)
    with pytest.raises(TypeError, match="h: a ExponentialHistogram cannot be told"):
        reader.read()


def test_the_allow_list_holds_no_ids() -> None:
    assert not any(name.endswith((".id", "_id", "principal", "tenant")) for name in ATTRIBUTES)


def wide(points: int) -> Metric:
    return Metric(
        name="waggle.wide",
        kind=MetricKind.COUNTER,
        numbers=tuple(NumberPoint(attributes={"http.route": f"{n:0>200}"}, value=n) for n in range(points)),
    )


def test_nothing_makes_no_portion() -> None:
    assert list(portions([])) == []


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(400, 4000), st.randoms(use_true_random=False))
def test_portions_fit_and_lose_nothing(metrics: int, size: int, chance: random.Random) -> None:
    every = [wide(chance.randint(1, 30)) for _ in range(metrics)]
    found = list(portions(every, size_bytes=size))
    for portion in found:
        taken = sum(len(metric.model_dump_json()) for metric in portion)
        assert taken <= size or (len(portion) == 1 and len(portion[0].numbers) == 1)
    told = [point for portion in found for metric in portion for point in metric.numbers]
    assert told == [point for metric in every for point in metric.numbers]


def test_the_most_that_instruments_can_tell_fits_into_messages(instruments: Instruments) -> None:
    counters = [instruments.meter.create_counter(f"c{n}") for n in range(20)]
    for counter in counters:
        for n in range(MOST_SERIES + 1):
            counter.add(1, {"http.route": f"{n:0>300}", "error.type": "e" * 300})
    found = list(portions(instruments.told().metrics))
    assert len(found) > 1
    assert all(sum(len(m.model_dump_json()) for m in portion) <= PORTION_BYTES for portion in found)
