"""The fleet at a glance, its hosts, its alerts."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Panel, PanelKind, Row, Target, graph, number

FIRING: Final = 'ALERTS{alertstate="firing",alertname!="Watchdog"}'

OVERVIEW: Final = Dashboard(
    name="overview",
    title="Waggle: overview",
    rows=[
        Row(
            "Now",
            [
                number("Questions that end well", "waggle:query_availability:ratio_rate5m", unit="percentunit", warning=0.99, critical=0.95),
                number("Questions that fail", "waggle:query_error:ratio_rate5m", unit="percentunit", warning=0.01, critical=0.05),
                number("Response time, p95", "waggle:query_duration_seconds:p95_5m", unit="s", warning=2, critical=5),
                number("First token, p95", "waggle:query_first_token_seconds:p95_5m", unit="s", warning=2, critical=5),
                number("Questions per second", "waggle:query:rate5m", unit="reqps"),
                number("Documents ready, 1 h", 'sum(increase(waggle_documents_total{outcome="ready"}[1h]))'),
                number("Alerts firing", f"count({FIRING}) or vector(0)", warning=1),
                number("Dead processes", "count(waggle_up == 0) or vector(0)", warning=1),
                number("Instances missing", "sum(clamp_min(waggle_service_expected - on (service) waggle_service_alive, 0))", warning=1),
                number("Dead letters", "waggle_dead_letters", warning=1),
                number("Messages stranded", "sum(waggle_consumer_stranded)", critical=1),
                number("Broker", "waggle_broker_up", warning=1, critical=0.5, description="1: it answers."),
            ],
        ),
        Row(
            "Questions",
            [
                graph("Questions by end", ("sum by (outcome) (rate(waggle_queries_total[$__rate_interval]))", "{{outcome}}"), unit="reqps", stacked=True),
                graph(
                    "Response time",
                    *((f"histogram_quantile({q}, sum by (le) (rate(waggle_query_duration_seconds_bucket[5m])))", f"p{round(q * 100)}") for q in (0.5, 0.95, 0.99)),
                    unit="s", warning=2, critical=5,
                ),
                graph("Users in 5 minutes", ("waggle_query_principals", "users")),
            ],
        ),
        Row(
            "Fleet",
            [
                graph("Instances alive", ("waggle_service_alive", "{{service}}")),
                graph("Messages that wait", ("sum by (consumer) (waggle_consumer_pending)", "{{consumer}}")),
                graph("Processor time by service", ("sum by (service) (rate(process_cpu_time_seconds_total[$__rate_interval]))", "{{service}}"), unit="short"),
            ],
        ),
    ],
)  # fmt: skip

_HOST: Final = "on (service, instance) group_left (host) max by (service, instance, host) (waggle_process_info)"

HOSTS: Final = Dashboard(
    name="hosts",
    title="Waggle: hosts and processes",
    by_service=True,
    rows=[
        Row(
            "Hosts",
            [
                graph("Processors in use", ("waggle:host_cpu_used:ratio", "{{host}}"), unit="percentunit", most=1, warning=0.8, critical=0.95),
                graph("Memory in use", ("waggle:host_memory_used:ratio", "{{host}}"), unit="percentunit", most=1, warning=0.85, critical=0.95),
                graph("Disk in use", ("waggle:host_disk_used:ratio", "{{host}} {{system_filesystem_mountpoint}}"), unit="percentunit", most=1, warning=0.9, critical=0.95),
                graph("Processors by mode", ("sum by (cpu_mode) (system_cpu_utilization)", "{{cpu_mode}}"), unit="percentunit", stacked=True),
                graph("Network", (f"sum by (host, network_io_direction) (rate(system_network_io_bytes_total[$__rate_interval]) * {_HOST})", "{{host}} {{network_io_direction}}"), unit="Bps"),
                graph("Disks", (f"sum by (host, disk_io_direction) (rate(system_disk_io_bytes_total[$__rate_interval]) * {_HOST})", "{{host}} {{disk_io_direction}}"), unit="Bps"),
            ],
        ),
        Row(
            "Processes",
            [
                graph("Processor time", ('sum by (instance) (rate(process_cpu_time_seconds_total{service=~"$service"}[$__rate_interval]))', "{{instance}}")),
                graph("Memory", ('process_memory_usage_bytes{service=~"$service"}', "{{instance}}"), unit="bytes"),
                graph("File descriptors", ('process_unix_file_descriptor{service=~"$service"}', "{{instance}}")),
                graph("Threads", ('process_thread{service=~"$service"}', "{{instance}}")),
                graph("Running for", ('process_uptime_seconds{service=~"$service"}', "{{instance}}"), unit="s"),
                graph("Clock ahead of the broker's", ('waggle_process_clock_skew_seconds{service=~"$service"}', "{{instance}}"), unit="s"),
                graph("Work in hand", ('waggle_process_in_flight{service=~"$service"}', "{{instance}}")),
                graph("Finished per second", ('rate(waggle_process_progress_total{service=~"$service"}[$__rate_interval])', "{{instance}}"), unit="ops"),
                graph("Stuck and paused",
                      ('count(waggle_process_stuck{service=~"$service"} == 1) or vector(0)', "stuck"),
                      ('count(waggle_process_state{service=~"$service",state="paused"}) or vector(0)', "paused")),
                graph("Backends: 1 well, 0 failing", ('min by (service, backend) (waggle_backend_up{service=~"$service"})', "{{service}}: {{backend}}"), most=1),
            ],
        ),
    ],
)  # fmt: skip

ALERTS: Final = Dashboard(
    name="alerts",
    title="Waggle: alerts and the observer",
    rows=[
        Row(
            "Alerts",
            [
                *(number(severity.capitalize(), f'count(ALERTS{{alertstate="firing",severity="{severity}",alertname!="Watchdog"}}) or vector(0)', warning=1) for severity in ("critical", "warning", "info")),
                number("Watchdog", 'count(ALERTS{alertname="Watchdog",alertstate="firing"})', description="Always 1 where rules are evaluated."),
                Panel(title="Firing and pending", kind=PanelKind.TABLE, width=24, height=10, targets=[Target("ALERTS")]),
                graph("Firing over time", (f"count by (alertname) ({FIRING}) or vector(0)", "{{alertname}}"), width=12, stacked=True),
                graph("Errors logged", ("sum by (service) (increase(waggle_log_errors_total[5m])) or vector(0)", "{{service}}"), width=12),
            ],
        ),
        Row(
            "Rules and notifications",
            [
                graph("Evaluations per second", ("sum by (rule_group) (rate(waggle_rule_evaluations_total[$__rate_interval]))", "{{rule_group}}"), unit="ops"),
                graph("Duration of an evaluation", ("waggle_rule_group_duration_seconds", "{{rule_group}}"), unit="s", warning=2),
                graph("Evaluations that failed or were missed",
                      ("sum(increase(waggle_rule_evaluation_failures_total[5m])) or vector(0)", "failed"), ("sum(increase(waggle_rule_evaluations_missed_total[5m])) or vector(0)", "missed")),
                graph("Notifications", ("sum by (waggle_notification_channel, waggle_notification_outcome) (increase(waggle_notification_outcomes_total[5m])) or vector(0)", "{{waggle_notification_channel}} {{waggle_notification_outcome}}")),
                graph("Groups that wait to be told", ("sum by (waggle_notification_channel) (waggle_notification_waiting) or vector(0)", "{{waggle_notification_channel}}")),
                graph("Observers that lead", ("waggle_observer_leading", "{{instance}}"), most=1),
            ],
        ),
        Row(
            "What the observer takes in",
            [
                graph("Heartbeats per second", ("sum by (instance) (rate(waggle_observer_heartbeats_total[$__rate_interval]))", "{{instance}}"), unit="ops"),
                graph("Series", ("waggle_observer_series", "{{instance}}")),
                graph("Refused or not readable in 5 minutes",
                      ("sum(increase(waggle_observer_series_refused_total[5m])) or vector(0)", "samples of new series"), ("sum(increase(waggle_observer_samples_refused_total[5m])) or vector(0)", "samples"), ("sum(increase(waggle_observer_malformed_total[5m])) or vector(0)", "malformed")),
            ],
        ),
    ],
)  # fmt: skip
