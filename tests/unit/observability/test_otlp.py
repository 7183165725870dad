"""The OTEL_ variables say where telemetry goes; one that asks for what there is not is named."""

from __future__ import annotations

import pytest
from opentelemetry.metrics import NoOpMeterProvider

from contracts.settings_source import ConfigurationError
from observability.otlp import Otlp, Signal

ENDPOINT = "http://127.0.0.1:4318"


def test_nothing_is_exported_until_an_endpoint_is_named() -> None:
    assert not any(Otlp({}).wants(signal) for signal in Signal)
    assert all(Otlp({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}).wants(signal) for signal in Signal)


@pytest.mark.parametrize("signal", list(Signal))
def test_one_signal_alone_may_be_exported_or_left_out(signal: Signal) -> None:
    alone = Otlp({f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT": f"{ENDPOINT}/v1/{signal}"})
    assert [each for each in Signal if alone.wants(each)] == [signal]
    without = Otlp({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, f"OTEL_{signal.upper()}_EXPORTER": "none"})
    assert [each for each in Signal if not without.wants(each)] == [signal]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "carrier pigeon"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"}, "OTEL_TRACES_SAMPLER_ARG"),
    ],
)
def test_what_is_asked_in_vain_is_said_with_the_variable_and_an_example(variables: dict[str, str], named: str) -> None:
    otlp = Otlp({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, **variables})

    def set_up() -> None:
        otlp.wants(Signal.TRACES)
        otlp.span_exporter(NoOpMeterProvider())
        otlp.require_sampler()

    with pytest.raises(ConfigurationError, match=named) as refusal:
        set_up()
    assert "Example: OTEL_" in str(refusal.value)


@pytest.mark.parametrize("interval", ["0", "-1", "often"])
def test_an_interval_that_is_none_is_refused(interval: str) -> None:
    with pytest.raises(ConfigurationError, match="OTEL_METRIC_EXPORT_INTERVAL"):
        _ = Otlp({"OTEL_METRIC_EXPORT_INTERVAL": interval}).interval_s


def test_metrics_are_exported_every_ten_seconds_unless_told_otherwise() -> None:
    assert Otlp({}).interval_s == 10
    assert Otlp({"OTEL_METRIC_EXPORT_INTERVAL": "2500"}).interval_s == 2.5


def test_grpc_without_its_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.otlp.find_spec", lambda _: None)
    otlp = Otlp({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    with pytest.raises(ConfigurationError, match="opentelemetry-exporter-otlp-proto-grpc"):
        otlp.metric_exporter()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_both_protocols_make_exporters(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT)
    otlp = Otlp({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    meters = NoOpMeterProvider()
    exporters = (otlp.span_exporter(meters), otlp.metric_exporter(), otlp.log_exporter(meters))
    assert all(("grpc" in type(exporter).__module__) is (protocol == "grpc") for exporter in exporters)
    for exporter in exporters:
        exporter.shutdown()
