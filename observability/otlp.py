"""Where traces, metrics and logs are exported to, by OpenTelemetry's own variables (OTEL_…).

Their meaning is OpenTelemetry's, with one exception: nothing is exported until an endpoint is named. What the exporters
read themselves (headers, certificates, compression, sampling, queue sizes) is left to them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contracts.metrics import METRICS_INTERVAL_S
from contracts.settings_source import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORT_TIMEOUT_S = 5.0
"""How long one export may take, retries included, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise."""

DISABLED = "OTEL_SDK_DISABLED"
SELF_MEASURING = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_BASE = "OTEL_EXPORTER_OTLP"
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_HTTP, _GRPC = "http/protobuf", "grpc"


class Signal(StrEnum):
    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Otlp:
    """What the variables ask for. Raises `ConfigurationError` for what they ask in vain."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    @property
    def is_disabled(self) -> bool:
        """Whether nothing at all is to be recorded."""
        return self._get(DISABLED).lower() == "true"

    @property
    def interval_s(self) -> float:
        """How often metrics are exported."""
        milliseconds = self._number(INTERVAL, METRICS_INTERVAL_S * 1000)
        if milliseconds <= 0:
            raise ConfigurationError(f"{INTERVAL}: must be more than 0 milliseconds. Example: {INTERVAL}=10000")
        return milliseconds / 1000

    def wants(self, signal: Signal) -> bool:
        """Whether a signal is exported: an endpoint is named, and OTEL_<SIGNAL>_EXPORTER is not `none`."""
        name = f"OTEL_{signal.upper()}_EXPORTER"
        exporter = self._get(name).lower()
        if exporter not in {"", "otlp", "none"}:
            raise ConfigurationError(f"{name}: {exporter} is not supported, only otlp and none. Example: {name}=otlp")
        return exporter != "none" and bool(self._endpoint(signal))

    def span_exporter(self, meters: MeterProvider) -> SpanExporter:
        """What it exports and what it loses is counted by one of `meters`."""
        if self._protocol(Signal.TRACES) == _GRPC:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

            return GrpcSpanExporter(timeout=self._timeout(Signal.TRACES), meter_provider=meters)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(timeout=self._timeout(Signal.TRACES), meter_provider=meters)

    def metric_exporter(self) -> MetricExporter:
        if self._protocol(Signal.METRICS) == _GRPC:
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter

            return GrpcMetricExporter(timeout=self._timeout(Signal.METRICS))
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return OTLPMetricExporter(timeout=self._timeout(Signal.METRICS))

    def log_exporter(self, meters: MeterProvider) -> LogRecordExporter:
        """What it exports and what it loses is counted by one of `meters`."""
        if self._protocol(Signal.LOGS) == _GRPC:
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter

            return GrpcLogExporter(timeout=self._timeout(Signal.LOGS), meter_provider=meters)
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter(timeout=self._timeout(Signal.LOGS), meter_provider=meters)

    def require_sampler(self) -> None:
        """The SDK would take another one in silence."""
        sampler = self._get(SAMPLER).lower().removeprefix("parentbased_")
        if sampler and sampler not in _SAMPLERS:
            known = ", ".join(_SAMPLERS)
            raise ConfigurationError(
                f"{SAMPLER}: {sampler} is none of {known}, each also with parentbased_ before it. "
                f"Example: {SAMPLER}=parentbased_traceidratio"
            )
        share = self._number(SAMPLER_ARGUMENT, 1.0)
        if sampler == "traceidratio" and not 0 <= share <= 1:
            raise ConfigurationError(
                f"{SAMPLER_ARGUMENT}: must be a share between 0 and 1. Example: {SAMPLER_ARGUMENT}=0.1"
            )

    def _endpoint(self, signal: Signal) -> str:
        name = f"{_BASE}_{signal.upper()}_ENDPOINT"
        name = name if self._get(name) else f"{_BASE}_ENDPOINT"
        endpoint = self._get(name)
        if endpoint and urlsplit(endpoint).scheme not in {"http", "https"}:
            raise ConfigurationError(
                f"{name}: must begin with http:// or https://. Example: {name}=http://127.0.0.1:4318"
            )
        return endpoint

    def _protocol(self, signal: Signal) -> str:
        name = f"{_BASE}_{signal.upper()}_PROTOCOL"
        name = name if self._get(name) else f"{_BASE}_PROTOCOL"
        protocol = self._get(name) or _HTTP
        if protocol == _GRPC:
            _require_grpc(name)
        elif protocol != _HTTP:
            raise ConfigurationError(
                f"{name}: {protocol} is not supported, only {_HTTP} and {_GRPC}. Example: {name}={_HTTP}"
            )
        return protocol

    def _timeout(self, signal: Signal) -> float:
        """Seconds, as OpenTelemetry for Python counts them."""
        return self._number(f"{_BASE}_{signal.upper()}_TIMEOUT", self._number(f"{_BASE}_TIMEOUT", EXPORT_TIMEOUT_S))

    def _number(self, name: str, default: float) -> float:
        try:
            return float(self._get(name) or default)
        except ValueError as error:
            raise ConfigurationError(f"{name}: must be a number. Example: {name}={default:g}") from error

    def _get(self, name: str) -> str:
        return self._environment.get(name, "").strip()


def _require_grpc(name: str) -> None:
    if find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:
        raise ConfigurationError(
            f"{name}: for grpc install the package opentelemetry-exporter-otlp-proto-grpc, or use {name}={_HTTP}"
        )
