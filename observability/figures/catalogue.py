"""The key figures, layer by layer. Thresholds are those of the shipped rules (deploy/rules)."""

from __future__ import annotations

from typing import Final

from contracts.figure_settings import Thresholds
from contracts.figures import Direction, Layer
from observability.figures.business import BUSINESS, QUERIES
from observability.figures.figure import Figure

SAMPLES: Final = "process_uptime_seconds"
"""Of every process that tells metrics, so what rests on it is not there only because nothing was counted."""
HEARTBEATS: Final = "waggle_up"
PENDING: Final = "waggle_consumer_pending"
OLDEST: Final = "waggle_consumer_oldest_seconds"

APPLICATION: Final = (
    Figure(
        name="availability",
        title="Questions that end well",
        layer=Layer.APPLICATION,
        unit="1",
        expression="waggle:query_availability:ratio_rate5m",
        rests_on=QUERIES,
        bad=Direction.BELOW,
        thresholds=Thresholds(0.99, 0.95),
    ),
    Figure(
        name="error_rate",
        title="Questions that fail",
        layer=Layer.APPLICATION,
        unit="1",
        expression="waggle:query_error:ratio_rate5m",
        rests_on=QUERIES,
        thresholds=Thresholds(0.01, 0.05),
    ),
    Figure(
        name="response_time_p95",
        title="Response time, 95th percentile",
        layer=Layer.APPLICATION,
        unit="s",
        expression="waggle:query_duration_seconds:p95_5m",
        rests_on="waggle_query_duration_seconds_count",
        thresholds=Thresholds(2, 5),
    ),
    Figure(
        name="first_token_p95",
        title="Time to first token, 95th percentile",
        layer=Layer.APPLICATION,
        unit="s",
        expression="waggle:query_first_token_seconds:p95_5m",
        rests_on="waggle_query_time_to_first_token_seconds_count",
        thresholds=Thresholds(2, 5),
    ),
    Figure(
        name="throughput",
        title="Questions per second",
        layer=Layer.APPLICATION,
        unit="{query}/s",
        expression="waggle:query:rate5m",
        rests_on=QUERIES,
        bad=Direction.BELOW,
    ),
    Figure(
        name="refused",
        title="Requests turned away per second",
        layer=Layer.APPLICATION,
        unit="{request}/s",
        expression="sum by (waggle_stage) (rate(waggle_admission_refused_total[5m])) or vector(0)",
        rests_on=SAMPLES,
        thresholds=Thresholds(0.1),
    ),
)

SERVICE: Final = (
    Figure(
        name="services_down",
        title="Services without an instance",
        layer=Layer.SERVICE,
        unit="{service}",
        expression="count(waggle_service_expected > 0 unless on (service) waggle_service_alive > 0) or vector(0)",
        rests_on="waggle_service_expected",
        thresholds=Thresholds(critical=0),
    ),
    Figure(
        name="instances_missing",
        title="Instances fewer than expected",
        layer=Layer.SERVICE,
        unit="{instance}",
        expression="clamp_min(waggle_service_expected - on (service) waggle_service_alive, 0)",
        rests_on="waggle_service_expected",
        thresholds=Thresholds(0),
    ),
    Figure(
        name="heartbeats_missing",
        title="Instances that are dead",
        layer=Layer.SERVICE,
        unit="{instance}",
        expression="count(waggle_up == 0) or vector(0)",
        rests_on=HEARTBEATS,
        thresholds=Thresholds(0),
    ),
    Figure(
        name="consumer_lag",
        title="Messages that wait for a stage",
        layer=Layer.SERVICE,
        unit="{message}",
        expression=PENDING,
        rests_on=PENDING,
        thresholds=Thresholds(1_000, 10_000),
    ),
    Figure(
        name="oldest_question",
        title="Age of the oldest question that waits",
        layer=Layer.SERVICE,
        unit="s",
        expression=f'{OLDEST}{{consumer=~"retrieve|generate-.+"}} and {PENDING} > 0 or vector(0)',
        rests_on=OLDEST,
        thresholds=Thresholds(5, 20),
    ),
    Figure(
        name="oldest_document",
        title="Age of the oldest work on documents that waits",
        layer=Layer.SERVICE,
        unit="s",
        expression=f'{OLDEST}{{consumer=~"ingest|embed|purge"}} and {PENDING} > 0 or vector(0)',
        rests_on=OLDEST,
        thresholds=Thresholds(900, 7_200),
    ),
    Figure(
        name="stranded",
        title="Messages that nobody will get",
        layer=Layer.SERVICE,
        unit="{message}",
        expression="waggle_consumer_stranded",
        rests_on="waggle_consumer_stranded",
        thresholds=Thresholds(critical=0),
    ),
    Figure(
        name="dead_letters",
        title="Dead letters",
        layer=Layer.SERVICE,
        unit="{message}",
        expression="waggle_dead_letters",
        rests_on="waggle_dead_letters",
        thresholds=Thresholds(0),
    ),
    Figure(
        name="error_logs",
        title="Errors logged by a process in 5 minutes",
        layer=Layer.SERVICE,
        unit="{line}",
        expression="increase(waggle_log_errors_total[5m]) or vector(0)",
        rests_on=SAMPLES,
        thresholds=Thresholds(10),
    ),
)

INFRASTRUCTURE: Final = (
    Figure(
        name="cpu",
        title="Processors in use",
        layer=Layer.INFRASTRUCTURE,
        unit="1",
        expression="waggle:host_cpu_used:ratio",
        rests_on="system_cpu_utilization",
        thresholds=Thresholds(0.8, 0.95),
    ),
    Figure(
        name="memory",
        title="Memory in use",
        layer=Layer.INFRASTRUCTURE,
        unit="1",
        expression="waggle:host_memory_used:ratio",
        rests_on="system_memory_utilization",
        thresholds=Thresholds(0.85, 0.95),
    ),
    Figure(
        name="disk",
        title="Disk in use",
        layer=Layer.INFRASTRUCTURE,
        unit="1",
        expression="waggle:host_disk_used:ratio",
        rests_on="system_filesystem_utilization",
        thresholds=Thresholds(0.9, 0.95),
    ),
    Figure(
        name="broker",
        title="Broker answers",
        layer=Layer.INFRASTRUCTURE,
        unit="1",
        expression="waggle_broker_up",
        rests_on="waggle_broker_up",
        bad=Direction.BELOW,
        thresholds=Thresholds(critical=1),
    ),
    Figure(
        name="broker_latency",
        title="Time that the broker takes to answer",
        layer=Layer.INFRASTRUCTURE,
        unit="s",
        expression="avg_over_time(waggle_broker_latency_seconds[5m])",
        rests_on="waggle_broker_latency_seconds",
        thresholds=Thresholds(0.5),
    ),
    Figure(
        name="streams",
        title="Fullest stream",
        layer=Layer.INFRASTRUCTURE,
        unit="1",
        expression="waggle:stream_used:ratio",
        rests_on="waggle_stream_bytes",
        thresholds=Thresholds(0.8, 0.95),
    ),
    Figure(
        name="backends",
        title="Backends: 1 well, 0.5 degraded, 0 failing for a whole service",
        layer=Layer.INFRASTRUCTURE,
        unit="1",
        expression="max by (service, backend) (waggle_backend_up and on (service, instance) waggle_up == 1)",
        rests_on="waggle_backend_up",
        bad=Direction.BELOW,
        thresholds=Thresholds(1, 0.5),
    ),
)

FIGURES: Final = (*APPLICATION, *SERVICE, *INFRASTRUCTURE, *BUSINESS)
"""All but the cost, which needs prices: see `cost_figure`."""
