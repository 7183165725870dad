"""Telemetry that nobody wants costs nothing; a collector that is away or slow does no harm."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from opentelemetry import propagate, trace
from prometheus_client import REGISTRY, generate_latest

from contracts.metrics import MetricKind
from observability.samples import Collected
from observability.telemetry import Telemetry, start_telemetry

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"


def started(
    environment: Mapping[str, str] | None = None, *, wanted: bool = True, prometheus: bool = False
) -> Telemetry:
    return start_telemetry(
        service="embed", instance="i", version="1", wanted=wanted, prometheus=prometheus, environment=environment or {}
    )


def told(telemetry: Telemetry) -> Collected:
    assert telemetry.samples is not None
    return telemetry.samples()


def test_what_is_not_wanted_is_not_recorded() -> None:
    telemetry = started(wanted=False)
    assert not telemetry.enabled
    assert telemetry.samples is None
    with telemetry.tracer.start_as_current_span("x") as span:
        assert not span.is_recording()
    telemetry.meter.create_counter("c").add(1)
    telemetry.shutdown()


def test_opentelemetrys_own_switch_ends_everything() -> None:
    telemetry = started({"OTEL_SDK_DISABLED": "true", COLLECTOR: "http://127.0.0.1:9"})
    assert not telemetry.enabled
    assert telemetry.shutdown_providers == ()


def test_metrics_are_collected_without_any_collector() -> None:
    telemetry = started()
    telemetry.meter.create_counter("waggle.tested").add(3, {"waggle.outcome": "acked"})
    telemetry.shutdown()
    (metric,) = told(telemetry).metrics
    assert (metric.name, metric.kind, metric.numbers[0].value) == ("waggle.tested", MetricKind.COUNTER, 3)
    assert metric.numbers[0].attributes == {"waggle.outcome": "acked"}


def test_metrics_are_offered_to_prometheus_also_when_nothing_else_is_wanted() -> None:
    telemetry = started(wanted=False, prometheus=True)
    try:
        telemetry.meter.create_counter("waggle.tested").add(3, {"waggle.outcome": "acked"})
        text = generate_latest(REGISTRY).decode()
    finally:
        telemetry.shutdown()
    assert any(line.startswith("waggle_tested_total{") and line.endswith(" 3.0") for line in text.splitlines())


def test_the_resource_says_who_it_is_and_what_the_variables_add() -> None:
    telemetry = started({"OTEL_SERVICE_NAME": "mine"})
    telemetry.shutdown()
    resource = telemetry.resource
    assert (resource["service.name"], resource["service.instance.id"], resource["waggle.track"]) == (
        "mine", "i", "stable",
    )  # fmt: skip
    assert resource["host.name"] == socket.gethostname()


def test_a_service_is_named_after_its_work() -> None:
    telemetry = started()
    telemetry.shutdown()
    assert telemetry.resource["service.name"] == "waggle-embed"


def test_without_a_collector_a_trace_is_begun_for_the_logs_but_not_recorded() -> None:
    telemetry = started()
    with telemetry.tracer.start_as_current_span("x") as span:
        assert span.get_span_context().is_valid
        assert not span.get_span_context().trace_flags.sampled
        assert not span.is_recording()
        with telemetry.tracer.start_as_current_span("y") as inner:
            assert inner.get_span_context().trace_id == span.get_span_context().trace_id
    telemetry.shutdown()
    assert not telemetry.tracing


def test_without_a_collector_the_callers_trace_is_passed_on_as_it_is() -> None:
    telemetry = started()
    caller = propagate.extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    with telemetry.tracer.start_as_current_span("x", context=caller) as span:
        assert trace.format_span_id(span.get_span_context().span_id) == "b7ad6b7169203331"
        assert span.get_span_context().trace_flags.sampled
    telemetry.shutdown()


@pytest.fixture
def deaf() -> Iterator[str]:
    """A collector that takes every connection and never answers."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for connection in taken:
        connection.close()


BATCHES = 5000 // 512 + 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_collector_that_hangs_holds_up_no_work(deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COLLECTOR, deaf)
    telemetry = started({COLLECTOR: deaf, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"})
    assert telemetry.tracing
    for _ in range(5000):  # more than the queue holds: what has no room is dropped
        with telemetry.tracer.start_as_current_span("x"):
            telemetry.meter.create_counter("c").add(1)
    logging.getLogger("x").error("not exported either")
    telemetry.shutdown(timeout_s=60)
    metrics = {metric.name: metric for metric in told(telemetry).metrics}
    assert metrics["c"].numbers[0].value == 5000
    lost = sum(
        point.value
        for name in ("otel.sdk.processor.span.processed", "otel.sdk.exporter.span.exported")
        for point in metrics[name].numbers
        if "error.type" in point.attributes
    )
    # The SDK counts a span as dropped before it is: one that finds room meanwhile, as a batch leaves, is counted twice.
    assert 5000 <= lost <= 5000 + BATCHES, "what finds no room in the queue, and what the collector does not take"
    (failed,) = metrics["otel.sdk.exporter.log.exported"].numbers
    assert (failed.value, "error.type" in failed.attributes) == (1, True)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"},
        {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"},
    ],
    ids=["usual", "delta", "exponential"],
)
def test_samples_are_totals_with_our_buckets_whatever_the_collector_wants(
    asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({COLLECTOR: "http://127.0.0.1:9"} | asked).items():
        monkeypatch.setenv(name, value)
    telemetry = started({COLLECTOR: "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"})
    counter = telemetry.meter.create_counter("c")
    histogram = telemetry.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0, 2.0])
    totals = []
    for _ in range(2):
        counter.add(1)
        histogram.record(1.5)
        counted, recorded = (m for m in told(telemetry).metrics if not m.name.startswith("otel.sdk."))
        totals.append((counted.numbers[0].value, recorded.bounds, recorded.histograms[0].counts))
    telemetry.shutdown(timeout_s=60)
    assert totals == [(1, (1.0, 2.0), (0, 1, 0)), (2, (1.0, 2.0), (0, 2, 0))]


def test_the_end_of_a_process_does_not_wait_for_an_export_that_hangs() -> None:
    release, over = threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(60)
        over.set()

    telemetry = replace(Telemetry.off(), shutdown_providers=(hang,))
    telemetry.shutdown(timeout_s=0.1)
    assert not over.is_set()
    release.set()
    assert over.wait(60)


def test_an_export_that_fails_at_the_end_is_no_error_of_the_process() -> None:
    def fail() -> None:
        raise RuntimeError("no collector")

    done = threading.Event()
    replace(Telemetry.off(), shutdown_providers=(fail, done.set)).shutdown()
    assert done.is_set()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_collector_that_is_not_there_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COLLECTOR, "http://127.0.0.1:9")
    telemetry = started({COLLECTOR: "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"})
    with telemetry.tracer.start_as_current_span("x") as span:
        assert span.is_recording()
    telemetry.shutdown(timeout_s=60)
