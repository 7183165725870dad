"""OpenTelemetry's own variables that Waggle reads: named, explained and shown beside the settings, never renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PREFIX = "OTEL_"
_CONFIDENTIAL = "HEADERS"


@dataclass(frozen=True, kw_only=True)
class TelemetryVariable:
    """One variable; `default` is what counts while it is unset."""

    name: str
    default: str
    meaning: str
    example: str

    @property
    def is_secret(self) -> bool:
        return self.name.endswith(_CONFIDENTIAL)


VARIABLES = (
    TelemetryVariable(
        name="OTEL_EXPORTER_OTLP_ENDPOINT",
        default="unset",
        meaning="Collector that traces, metrics and logs are sent to; while it is unset nothing is.",
        example="http://127.0.0.1:4318",
    ),
    TelemetryVariable(
        name="OTEL_EXPORTER_OTLP_PROTOCOL",
        default="http/protobuf",
        meaning="http/protobuf or grpc.",
        example="grpc",
    ),
    TelemetryVariable(
        name="OTEL_EXPORTER_OTLP_HEADERS",
        default="unset",
        meaning="Headers of every export, such as keys.",
        example="authorization=Bearer%20…",
    ),
    TelemetryVariable(
        name="OTEL_EXPORTER_OTLP_TIMEOUT",
        default="5",
        meaning="Most seconds of one export, retries included.",
        example="5",
    ),
    TelemetryVariable(
        name="OTEL_TRACES_EXPORTER",
        default="otlp",
        meaning="none leaves traces out; OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER likewise.",
        example="none",
    ),
    TelemetryVariable(
        name="OTEL_TRACES_SAMPLER",
        default="parentbased_always_on",
        meaning="Which traces are recorded: always_on, always_off or traceidratio, each also with parentbased_ before it.",
        example="parentbased_traceidratio",
    ),
    TelemetryVariable(
        name="OTEL_TRACES_SAMPLER_ARG",
        default="1",
        meaning="The share of traceidratio.",
        example="0.1",
    ),
    TelemetryVariable(
        name="OTEL_METRIC_EXPORT_INTERVAL",
        default="10000",
        meaning="Milliseconds between exports of metrics.",
        example="10000",
    ),
    TelemetryVariable(
        name="OTEL_SERVICE_NAME",
        default="waggle- and the service",
        meaning="service.name of this process. Set for several processes it is the same for all of them.",
        example="waggle-embed",
    ),
    TelemetryVariable(
        name="OTEL_RESOURCE_ATTRIBUTES",
        default="unset",
        meaning="Further attributes of everything that is told.",
        example="deployment.environment.name=production",
    ),
    TelemetryVariable(
        name="OTEL_SDK_DISABLED",
        default="false",
        meaning="true records nothing at all, as if WAGGLE_TELEMETRY were off; `/metrics` is then empty, too.",
        example="true",
    ),
)


def others(environment: Mapping[str, str] = os.environ) -> Iterator[TelemetryVariable]:
    """The variables that are set and left to OpenTelemetry: for single signals, certificates, queues and the like."""
    known = {variable.name for variable in VARIABLES}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            yield TelemetryVariable(name=name, default="unset", meaning="Read by OpenTelemetry itself.", example="")
