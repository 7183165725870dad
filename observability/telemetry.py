"""Traces and metrics of a process: exported where a collector is named, otherwise costing nothing.

Providers are made here and passed on; the library's global ones stay unset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

SCOPE = "waggle"
EXPORT_TIMEOUT_S = 5
EXPORT_INTERVAL_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """A tracer and a meter. `enabled` is False when nobody reads either: then skip what it costs to measure."""

    tracer: trace.Tracer
    meter: metrics.Meter
    enabled: bool = False
    shutdown_providers: tuple[Callable[[], object], ...] = ()

    @classmethod
    def off(cls) -> Telemetry:
        """Records nothing."""
        return cls(
            tracer=trace.NoOpTracerProvider().get_tracer(SCOPE),
            meter=metrics.NoOpMeterProvider().get_meter(SCOPE),
        )

    def shutdown(self) -> None:
        """Export what is left. Blocks for at most `EXPORT_TIMEOUT_S` per provider."""
        for shutdown in self.shutdown_providers:
            shutdown()


def start_telemetry(
    *,
    service: str,
    instance: str,
    version: str,
    otlp_endpoint: str | None = None,
    prometheus: bool = False,
) -> Telemetry:
    """Set up telemetry of this process.

    With `otlp_endpoint` (OTLP over HTTP, its base address) traces and metrics are pushed there in the background; a
    collector that is down costs dropped data, never waiting. With `prometheus` metrics are also offered to
    `prometheus_client`'s default registry. With neither nothing is recorded.
    """
    if otlp_endpoint is None and not prometheus:
        return Telemetry.off()
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create(
        {"service.name": f"waggle-{service}", "service.instance.id": instance, "service.version": version}
    )
    readers = [*_otlp_reader(otlp_endpoint), *_prometheus_reader(wanted=prometheus)]
    meters = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    tracers = _tracer_provider(otlp_endpoint, resource)
    return Telemetry(
        tracer=(tracers or trace.NoOpTracerProvider()).get_tracer(SCOPE),
        meter=meters.get_meter(SCOPE),
        enabled=True,
        shutdown_providers=(meters.shutdown, *((tracers.shutdown,) if tracers else ())),
    )


def _tracer_provider(otlp_endpoint: str | None, resource: Resource) -> TracerProvider | None:
    if otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=_signal(otlp_endpoint, "traces"), timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _otlp_reader(otlp_endpoint: str | None) -> Sequence[MetricReader]:
    if otlp_endpoint is None:
        return ()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    exporter = OTLPMetricExporter(endpoint=_signal(otlp_endpoint, "metrics"), timeout=EXPORT_TIMEOUT_S)
    return (
        PeriodicExportingMetricReader(
            exporter,
            export_interval_millis=EXPORT_INTERVAL_S * 1000,
            export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
        ),
    )


def _prometheus_reader(*, wanted: bool) -> Sequence[MetricReader]:
    if not wanted:
        return ()
    from opentelemetry.exporter.prometheus import PrometheusMetricReader

    return (PrometheusMetricReader(),)


def _signal(otlp_endpoint: str, signal: str) -> str:
    return f"{otlp_endpoint.rstrip('/')}/v1/{signal}"
