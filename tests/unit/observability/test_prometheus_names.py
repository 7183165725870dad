"""Names are those that OpenTelemetry's own exporter for Prometheus makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest

from contracts.metrics import Metric, MetricKind
from observability.prometheus_names import bound_name, family_name, label_name, labels_of, unit_name, unreserved

TELEMETRY = Path(__file__).parents[3] / "docs" / "telemetry.md"
ROWS = [line.split("|") for line in TELEMETRY.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
DOCUMENTED = [
    (name, kind, unit)
    for row in ROWS
    for kind, _, unit in [row[2].strip().partition(", ")]
    if kind in {"counter", "gauge", "histogram"}
    for name in re.findall(r"`([a-z_]+\.[a-z_.]+)`", row[1])
]
ODD = [
    ("a.total", "counter", ""), ("a.seconds", "histogram", "s"), ("a__b-c/d", "gauge", "By"), ("a", "gauge", "1/s"),
    ("a", "counter", "m/s"), ("a", "gauge", "{x}/s"), ("a", "counter", "%"), ("a", "gauge", "furlong"), ("a", "gauge", "1/{x}"),
    ("a.seconds.total", "counter", "s"), ("a", "gauge", "By/min"), ("a", "counter", "{request}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """The names that the exporter gives to all of them, each made in a scope of its own."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    for number, (name, kind, unit) in enumerate([*DOCUMENTED, *ODD]):
        meter = provider.get_meter(f"scope{number}")
        if kind == "counter":
            meter.create_counter(name, unit=unit).add(1)
        elif kind == "gauge":
            meter.create_gauge(name, unit=unit).set(1)
        else:
            meter.create_histogram(name, unit=unit).record(1)
    text = generate_latest(registry).decode()
    provider.shutdown()
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def test_every_metric_that_there_is_has_the_name_that_the_exporter_gives_it(exported: set[str]) -> None:
    assert len(DOCUMENTED) > 40
    found = {
        family_name(Metric(name=name, kind=MetricKind(kind), unit=unit)): (name, kind, unit)
        for name, kind, unit in [*DOCUMENTED, *ODD]
    }
    theirs = {unreserved(name) for name in exported} - {"target_info"}
    assert set(found) == theirs


def test_what_is_no_histogram_does_not_end_like_a_part_of_one() -> None:
    metric = Metric(name="process.thread.count", kind=MetricKind.GAUGE, unit="{thread}")
    assert family_name(metric) == "process_thread"


@pytest.mark.parametrize(
    ("unit", "name"),
    [("s", "seconds"), ("1", ""), ("{request}", ""), ("1/s", "per_second"), ("By/min", "bytes_per_min")],
)
def test_units_are_words(unit: str, name: str) -> None:
    assert unit_name(unit) == name


def test_attributes_cannot_take_the_place_of_what_tells_processes_apart() -> None:
    assert label_name("waggle.outcome") == "waggle_outcome"
    assert labels_of([("service", "x"), ("le", "1"), ("a.b", "1"), ("a-b", "2")]) == {
        "exported_service": "x", "exported_le": "1", "a_b": "2;1",
    }  # fmt: skip


def test_bounds_are_written_as_the_exporter_does() -> None:
    assert [bound_name(bound) for bound in (0.005, 1, 2.5)] == ["0.005", "1.0", "2.5"]
