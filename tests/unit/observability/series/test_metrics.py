"""The store's figures as metrics, and what is said of a flood."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from structlog.testing import capture_logs

from observability.cardinality import bounded_views
from observability.samples import SampleReader
from observability.series import SeriesLimits, StoreMetrics
from tests.unit.observability.series.stores import Clock, fill, of_process, record, store


def test_the_store_is_told_in_metrics_and_a_flood_by_its_service(tmp_path: Path) -> None:
    clock, reader = Clock(), SampleReader()
    series = store(tmp_path, clock, limits=SeriesLimits(of_metric=2))
    provider = MeterProvider([reader], views=bounded_views())
    StoreMetrics(provider.get_meter("waggle"), series.figures)
    many = [of_process(user=str(number)) for number in range(5)]
    fill(series, clock, *many, minutes=1, every_ms=60_000, maintained=False)
    record(series, [(many[0], 1.0)], time_ms=clock.now_ms)

    with capture_logs() as lines:
        series.maintain()
        series.maintain()

    told = {metric.name.removeprefix("waggle.observer."): metric.numbers for metric in reader.read().metrics}
    assert {name: point.value for name, (point,) in told.items()} == {
        "series": 2,
        "series.size": series.figures().samples_bytes,
        "series.refused": 3,
        "samples.refused": 1,
        "clock.steps": 0,
        "rollups.available": 1,
        "rollups.size": series.figures().disk.size_bytes,
        "rollups.failures": 0,
        "rollups.put_aside": 0,
        "rollups.lost": 0,
    }
    assert told["series.refused"][0].attributes == {"waggle.source.service": "embed"}
    (line,) = [line for line in lines if "refused" in line["event"]]
    assert (line["service"], line["instance"], line["refused"]) == ("embed", "i1", 3)
    series.close()
    provider.shutdown()
