"""Traces, metrics and logs of a process, set up in one place.

Metrics are always there to be told over NATS (`messaging.samples`). What the OTEL_ variables ask for is exported to a
collector in the background: one that is down or slow costs dropped data, never waiting. Providers are made here and
passed on; the library's global ones stay unset.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from opentelemetry import metrics, trace

from observability.otlp import SELF_MEASURING, Otlp, Signal

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import ExemplarFilter, MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

    from observability.samples import Collected

SCOPE = "waggle"
SCHEMA = "https://opentelemetry.io/schemas/1.43.0"
"""The semantic conventions that names follow."""
SHUTDOWN_S = 5.0
"""How long what is left may take to be exported when the process ends."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """A tracer and a meter.

    `enabled` is False when nobody reads what is measured: then skip what it costs to measure. `tracing`: spans are
    recorded and exported. `samples` collects all metrics; it blocks. `began` is the monotonic time from which on they
    count.
    """

    tracer: trace.Tracer
    meter: metrics.Meter
    enabled: bool = False
    tracing: bool = False
    samples: Callable[[], Collected] | None = None
    resource: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    shutdown_providers: tuple[Callable[[], object], ...] = ()

    @classmethod
    def off(cls) -> Telemetry:
        """Records nothing."""
        return cls(
            tracer=trace.NoOpTracerProvider().get_tracer(SCOPE),
            meter=metrics.NoOpMeterProvider().get_meter(SCOPE),
        )

    def shutdown(self, *, timeout_s: float = SHUTDOWN_S) -> None:
        """Export what is left, all of it at once. Blocks for at most `timeout_s`; what takes longer is given up."""
        ending = [
            threading.Thread(target=_ended, args=(shutdown,), name="telemetry shutdown", daemon=True)
            for shutdown in self.shutdown_providers
        ]
        for thread in ending:
            thread.start()
        deadline = time.monotonic() + timeout_s
        for thread in ending:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in ending):
            log.warning("telemetry that is not exported yet is given up", after_s=timeout_s)


def start_telemetry(
    *,
    service: str,
    instance: str,
    version: str,
    track: str = "stable",
    wanted: bool = True,
    prometheus: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Telemetry:
    """Set up telemetry of this process.

    If it is `wanted`, metrics may be collected by `Telemetry.samples`, and traces, metrics and logs are exported as the
    OTEL_ variables say. With `prometheus` metrics are offered to `prometheus_client`'s default registry, wanted or not.
    Raises `ConfigurationError` for variables that ask for what there is not.
    """
    otlp = Otlp(environment)
    if otlp.is_disabled or not (wanted or prometheus):
        return Telemetry.off()
    from opentelemetry.sdk.metrics import MeterProvider

    from observability.cardinality import bounded_views
    from observability.tracers import UnrecordedTracer

    resource = _resource(service, instance, version, track, environment)
    readers, samples = _readers(otlp) if wanted else ([], None)
    meters = MeterProvider(
        metric_readers=[*readers, *_prometheus_reader(wanted=prometheus)],
        resource=resource,
        views=bounded_views(),
        exemplar_filter=_exemplars(environment),
        shutdown_on_exit=False,
    )
    tracer, ends = (UnrecordedTracer(), ()) if not wanted else _exported(otlp, resource, meters)
    return Telemetry(
        tracer=tracer,
        meter=meters.get_meter(SCOPE, version, SCHEMA),
        enabled=True,
        tracing=wanted and otlp.wants(Signal.TRACES),
        samples=samples,
        resource={name: str(value) for name, value in resource.attributes.items()},
        shutdown_providers=(meters.shutdown, *ends),
    )


def _exemplars(environment: Mapping[str, str]) -> ExemplarFilter | None:
    """None takes what the variable says; unless it is set there are none, since each costs a question its time."""
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter

    return None if environment.get("OTEL_METRICS_EXEMPLAR_FILTER") else AlwaysOffExemplarFilter()


def _resource(service: str, instance: str, version: str, track: str, environment: Mapping[str, str]) -> Resource:
    from opentelemetry.sdk.resources import Resource

    return Resource.create(
        {
            "service.name": environment.get("OTEL_SERVICE_NAME") or f"waggle-{service}",
            "service.namespace": "waggle",
            "service.instance.id": instance,
            "service.version": version,
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
            "waggle.track": track,
        },
        SCHEMA,
    )


def _readers(otlp: Otlp) -> tuple[list[MetricReader], Callable[[], Collected]]:
    """What counts, and what hands over what it has counted."""
    from observability.samples import SampleReader, SharingReader, can_share

    if not otlp.wants(Signal.METRICS):
        sampling = SampleReader()
        return [sampling], sampling.read
    exporter = otlp.metric_exporter()
    if can_share(exporter):
        sharing = SharingReader(exporter, interval_s=otlp.interval_s, timeout_s=SHUTDOWN_S)
        return [sharing], sharing.read
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    sampling = SampleReader()
    exporting = PeriodicExportingMetricReader(exporter, otlp.interval_s * 1000, SHUTDOWN_S * 1000)
    return [sampling, exporting], sampling.read


def _prometheus_reader(*, wanted: bool) -> Sequence[MetricReader]:
    if not wanted:
        return ()
    from opentelemetry.exporter.prometheus import PrometheusMetricReader

    return (PrometheusMetricReader(),)


def _exported(
    otlp: Otlp, resource: Resource, meters: MeterProvider
) -> tuple[trace.Tracer, tuple[Callable[[], object], ...]]:
    """The tracer, and what ends the export of traces and logs."""
    from observability.tracers import UnrecordedTracer

    ends: list[Callable[[], object]] = []
    tracer: trace.Tracer = UnrecordedTracer()
    if otlp.wants(Signal.TRACES):
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        otlp.require_sampler()
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        with _measuring_itself():
            exporter = otlp.span_exporter(meters)
            tracers.add_span_processor(BatchSpanProcessor(exporter, meter_provider=meters))
        tracer = tracers.get_tracer(SCOPE, schema_url=SCHEMA)
        ends.append(tracers.shutdown)
    if otlp.wants(Signal.LOGS):
        from observability.log_export import export_logs

        with _measuring_itself():
            ends.append(export_logs(otlp.log_exporter(meters), resource, meters))
    return tracer, tuple(ends)


@contextmanager
def _measuring_itself() -> Iterator[None]:
    """Exports that are made inside count what they lose, unless the variable for that says no."""
    if SELF_MEASURING in os.environ:
        yield
        return
    os.environ[SELF_MEASURING] = "true"
    try:
        yield
    finally:
        del os.environ[SELF_MEASURING]


def _ended(shutdown: Callable[[], object]) -> None:
    try:
        shutdown()
    except Exception as error:  # noqa: BLE001 (of whatever kind: the process ends, and the library tells no others apart)
        log.warning("telemetry was not exported whole", reason=str(error))
