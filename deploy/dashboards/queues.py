"""Work on its way: stages and their lag, and the broker underneath."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Row, graph, number

PROCESSED: Final = "messaging_process_duration_seconds"

PIPELINE: Final = Dashboard(
    name="pipeline",
    title="Waggle: stages and lag",
    rows=[
        Row(
            "Queues",
            [
                graph("Messages that wait", ("waggle_consumer_pending", "{{consumer}}")),
                graph("Messages in hand", ("waggle_consumer_ack_pending", "{{consumer}}")),
                graph("Age of the oldest", ("waggle_consumer_oldest_seconds", "{{consumer}}"), unit="s"),
                graph("Delivered again", ("waggle_consumer_redelivered", "{{consumer}}")),
                graph("Stranded, and dead letters", ("sum(waggle_consumer_stranded)", "stranded"), ("waggle_dead_letters", "dead letters")),
                graph("Workers that ask for work", ("waggle_consumer_waiting", "{{consumer}}")),
            ],
        ),
        Row(
            "Stages",
            [
                graph("Finished per second", (f"sum by (messaging_consumer_group_name) (rate({PROCESSED}_count[$__rate_interval]))", "{{messaging_consumer_group_name}}"), unit="ops"),
                graph("Time of a message, p95", (f"histogram_quantile(0.95, sum by (le, messaging_consumer_group_name) (rate({PROCESSED}_bucket[5m])))", "{{messaging_consumer_group_name}}"), unit="s"),
                graph("Outcomes per second", (f"sum by (waggle_outcome) (rate({PROCESSED}_count[$__rate_interval]))", "{{waggle_outcome}}"), unit="ops", stacked=True),
                graph("Time to publish, p95", ("histogram_quantile(0.95, sum by (le, messaging_destination_name) (rate(messaging_client_operation_duration_seconds_bucket[5m])))", "{{messaging_destination_name}}"), unit="s"),
                graph("Backlog as admission sees it", ("waggle_admission_backlog", "{{waggle_stage}}")),
                graph("Turned away per second", ("sum by (waggle_stage) (rate(waggle_admission_refused_total[$__rate_interval])) or vector(0)", "{{waggle_stage}}"), unit="reqps"),
            ],
        ),
        Row(
            "Documents",
            [
                graph("Documents that ended, in 5 minutes", ("sum by (outcome) (increase(waggle_documents_total[5m]))", "{{outcome}}")),
                graph("Time from upload to searchable", *((f"histogram_quantile({q}, sum by (le) (rate(waggle_document_searchable_seconds_bucket[30m])))", f"p{round(q * 100)}") for q in (0.5, 0.95)), unit="s"),
                graph("Failures in 5 minutes", ("sum by (code) (increase(waggle_document_failures_total[5m])) or vector(0)", "{{code}}")),
                graph("What the reconciler did, in 1 h", ("sum by (remedy) (increase(waggle_reconciled_total[1h])) or vector(0)", "{{remedy}}")),
                graph("Messages that ran out of deliveries, in 1 h", ("sum by (consumer) (increase(waggle_advisories_total[1h])) or vector(0)", "{{consumer}}")),
            ],
        ),
        Row(
            "The door",
            [
                graph("Requests per second", ("sum by (http_route, waggle_status_class) (rate(http_server_request_duration_seconds_count[$__rate_interval]))", "{{http_route}} {{waggle_status_class}}"), unit="reqps", width=12),
                graph("What came of requests", ("sum by (waggle_outcome) (rate(waggle_gateway_requests_total[$__rate_interval]))", "{{waggle_outcome}}"), unit="reqps", width=12),
                graph("Time to the head of the response, p95", ("histogram_quantile(0.95, sum by (le, http_route) (rate(http_server_request_duration_seconds_bucket[5m])))", "{{http_route}}"), unit="s", width=12),
            ],
        ),
    ],
)  # fmt: skip

BROKER: Final = Dashboard(
    name="broker",
    title="Waggle: broker",
    rows=[
        Row(
            "Now",
            [
                number("Broker", "waggle_broker_up", warning=1, critical=0.5, description="1: it answers."),
                number("Storage", "waggle_broker_storage_bytes", unit="bytes"),
                number("Fullest stream", "max(waggle:stream_used:ratio)", unit="percentunit", warning=0.8, critical=0.95),
                number("Messages stranded", "sum(waggle_consumer_stranded)", critical=1),
                number("Dead letters", "waggle_dead_letters", warning=1),
            ],
        ),
        Row(
            "Broker",
            [
                graph("Time to answer", ("waggle_broker_latency_seconds", "broker"), unit="s", warning=0.5),
                graph("API errors per second", ("rate(waggle_broker_api_errors_total[5m])", "errors"), unit="ops"),
                graph("Storage", ("waggle_broker_storage_bytes", "used"), unit="bytes"),
                graph("Not permitted, last 5 minutes", ("sum by (service, messaging_operation_name) (increase(waggle_broker_permissions_refused_total[5m]))", "{{service}} {{messaging_operation_name}}"), warning=1),
            ],
        ),
        Row(
            "Streams",
            [
                graph("Bytes", ("waggle_stream_bytes", "{{stream}}"), unit="bytes", stacked=True),
                graph("Share of the limit", ("waggle_stream_bytes / on (stream) waggle_stream_limit_bytes", "{{stream}}"), unit="percentunit", most=1, warning=0.8, critical=0.95),
                graph("Messages", ("waggle_stream_messages", "{{stream}}")),
                graph("Age of the oldest message", ("waggle_stream_oldest_seconds", "{{stream}}"), unit="s"),
                graph("Published per second", ("sum by (messaging_destination_name) (rate(messaging_client_operation_duration_seconds_count[$__rate_interval]))", "{{messaging_destination_name}}"), unit="ops"),
                graph("Messages in hand", ("waggle_consumer_ack_pending", "{{consumer}}")),
            ],
        ),
    ],
)  # fmt: skip
