"""Telemetry that nobody reads costs nothing; a collector that is away does no harm."""

from __future__ import annotations

import sys

import pytest
from prometheus_client import REGISTRY, generate_latest

from observability.telemetry import Telemetry, start_telemetry


def test_without_a_reader_nothing_is_recorded() -> None:
    telemetry = start_telemetry(service="embed", instance="i", version="1")
    assert not telemetry.enabled
    with telemetry.tracer.start_as_current_span("x") as span:
        assert not span.is_recording()
    telemetry.meter.create_counter("c").add(1)
    telemetry.shutdown()


def test_metrics_are_offered_to_prometheus() -> None:
    telemetry = start_telemetry(service="gateway", instance="i", version="1", prometheus=True)
    try:
        telemetry.meter.create_counter("waggle.tested").add(3, {"outcome": "acked"})
        text = generate_latest(REGISTRY).decode()
    finally:
        telemetry.shutdown()
    assert any(line.startswith("waggle_tested_total{") and line.endswith(" 3.0") for line in text.splitlines())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_collector_that_is_away_is_no_error_of_ours() -> None:
    telemetry = start_telemetry(service="embed", instance="i", version="1", otlp_endpoint="http://127.0.0.1:9")
    assert telemetry.enabled
    with telemetry.tracer.start_as_current_span("x") as span:
        assert span.is_recording()
    telemetry.shutdown()


def test_off_is_a_telemetry_like_any_other() -> None:
    assert Telemetry.off().enabled is False
    assert "opentelemetry" in sys.modules
