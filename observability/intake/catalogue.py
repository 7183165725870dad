"""The series that the observer makes of what it hears: names, kinds, meanings, labels."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.metrics import MetricKind
from observability.metadata import MetricMetadata
from observability.prometheus_names import unit_name

_COUNTER, _GAUGE, _HISTOGRAM = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM

# heartbeats
UP: Final = "waggle_up"
PROCESS_INFO: Final = "waggle_process_info"
PROCESS_STATE: Final = "waggle_process_state"
PROCESS_START: Final = "waggle_process_start_time_seconds"
IN_FLIGHT: Final = "waggle_process_in_flight"
OLDEST_IN_FLIGHT: Final = "waggle_process_oldest_in_flight_seconds"
PROGRESS: Final = "waggle_process_progress_total"
LAST_PROGRESS: Final = "waggle_process_last_progress_timestamp_seconds"
STUCK: Final = "waggle_process_stuck"
CLOCK_SKEW: Final = "waggle_process_clock_skew_seconds"
BACKEND_UP: Final = "waggle_backend_up"
BACKEND_LATENCY: Final = "waggle_backend_latency_seconds"
SERVICE_EXPECTED: Final = "waggle_service_expected"
SERVICE_ALIVE: Final = "waggle_service_alive"
INSTANCE_CONFLICTS: Final = "waggle_instance_conflicts_total"

# health, worked out of them
HEALTH: Final = "waggle_health"
COMPONENT_HEALTH: Final = "waggle_component_health"
HEALTH_CHANGE: Final = "waggle_health_change"

# life-cycle events
QUERIES_ACCEPTED: Final = "waggle_queries_accepted_total"
QUERIES: Final = "waggle_queries_total"
QUERY_FAILURES: Final = "waggle_query_failures_total"
QUERY_DURATION: Final = "waggle_query_duration_seconds"
QUERY_FIRST_TOKEN: Final = "waggle_query_time_to_first_token_seconds"  # noqa: S105 (of an answer)
QUERY_ZERO_HITS: Final = "waggle_query_zero_hits_total"
QUERY_TOP_SCORE: Final = "waggle_query_top_score"
QUERY_TOKENS: Final = "waggle_query_tokens_total"
QUERIES_CACHED: Final = "waggle_queries_cached_total"
QUERY_PRINCIPALS: Final = "waggle_query_principals"
ANSWER_CITATIONS: Final = "waggle_answer_citations"
DOCUMENTS: Final = "waggle_documents_total"
DOCUMENT_FAILURES: Final = "waggle_document_failures_total"
DOCUMENT_SEARCHABLE: Final = "waggle_document_searchable_seconds"
RECONCILED: Final = "waggle_reconciled_total"

# advisories
ADVISORIES: Final = "waggle_advisories_total"

# the broker
BROKER_UP: Final = "waggle_broker_up"
BROKER_LATENCY: Final = "waggle_broker_latency_seconds"
BROKER_API_ERRORS: Final = "waggle_broker_api_errors_total"
BROKER_STORAGE: Final = "waggle_broker_storage_bytes"
BROKER_STORAGE_LIMIT: Final = "waggle_broker_storage_limit_bytes"
BROKER_CONNECTIONS: Final = "waggle_broker_connections"
STREAM_MESSAGES: Final = "waggle_stream_messages"
STREAM_BYTES: Final = "waggle_stream_bytes"
STREAM_LIMIT: Final = "waggle_stream_limit_bytes"
STREAM_OLDEST: Final = "waggle_stream_oldest_seconds"
CONSUMER_PENDING: Final = "waggle_consumer_pending"
CONSUMER_ACK_PENDING: Final = "waggle_consumer_ack_pending"
CONSUMER_REDELIVERED: Final = "waggle_consumer_redelivered"
CONSUMER_WAITING: Final = "waggle_consumer_waiting"
CONSUMER_STRANDED: Final = "waggle_consumer_stranded"
CONSUMER_OLDEST: Final = "waggle_consumer_oldest_seconds"
DEAD_LETTERS: Final = "waggle_dead_letters"


def _told(kind: MetricKind, help: str, unit: str = "") -> MetricMetadata:  # noqa: A002 (as Prometheus calls it)
    return MetricMetadata(kind, help, unit_name(unit))


CATALOGUE: Final[Mapping[str, MetricMetadata]] = MappingProxyType(
    {
        UP: _told(_GAUGE, "Whether a process is alive (1) or dead (0); none of one that was told to stop."),
        PROCESS_INFO: _told(_GAUGE, "1, with the version, the release track and the host of a process."),
        PROCESS_STATE: _told(_GAUGE, "1 for the state that a process is in: starting, ready, paused or draining."),
        PROCESS_START: _told(_GAUGE, "When a process started, by the broker's clock.", "s"),
        IN_FLIGHT: _told(_GAUGE, "Messages or requests that a process has in hand."),
        OLDEST_IN_FLIGHT: _told(_GAUGE, "Age of the oldest of them, 0 when there is none.", "s"),
        PROGRESS: _told(_COUNTER, "What a process has finished since it started."),
        LAST_PROGRESS: _told(_GAUGE, "When a process last finished something, by the broker's clock.", "s"),
        STUCK: _told(_GAUGE, "Whether a worker has work and finishes none (1) or gets on (0), as it says itself."),
        CLOCK_SKEW: _told(_GAUGE, "How far a process's idea of the broker's time is ahead of it.", "s"),
        BACKEND_UP: _told(_GAUGE, "A process's last look at what it depends on: 1 well, 0.5 degraded, 0 failing."),
        BACKEND_LATENCY: _told(_GAUGE, "How long that look took.", "s"),
        SERVICE_EXPECTED: _told(_GAUGE, "How many processes of a service should be alive."),
        SERVICE_ALIVE: _told(_GAUGE, "How many processes of a service are alive."),
        INSTANCE_CONFLICTS: _told(_COUNTER, "Messages of a second process that bears the name of one that lives."),
        HEALTH: _told(_GAUGE, "Health of the whole fleet: 1 healthy, 0.5 degraded, 0 unhealthy, -1 unknown."),
        COMPONENT_HEALTH: _told(_GAUGE, "Health of a component: 1 healthy, 0.5 degraded, 0 unhealthy, -1 unknown."),
        HEALTH_CHANGE: _told(_GAUGE, "1 when the health of a component, or of the whole fleet, changed."),
        QUERIES_ACCEPTED: _told(_COUNTER, "Questions that were accepted."),
        QUERIES: _told(_COUNTER, "Questions that ended, by outcome."),
        QUERY_FAILURES: _told(_COUNTER, "Questions that failed, by error code."),
        QUERY_DURATION: _told(_HISTOGRAM, "From the acceptance of a question to its end.", "s"),
        QUERY_FIRST_TOKEN: _told(
            _HISTOGRAM, "From the acceptance of a question to the first piece of its answer.", "s"
        ),
        QUERY_ZERO_HITS: _told(_COUNTER, "Questions for which nothing was found."),
        QUERY_TOP_SCORE: _told(_HISTOGRAM, "Score of the best passage of a question."),
        QUERY_TOKENS: _told(_COUNTER, "Tokens read and written for answers, as the generator counts them."),
        QUERIES_CACHED: _told(_COUNTER, "Questions whose answer had been given before."),
        QUERY_PRINCIPALS: _told(_GAUGE, "How many different askers there were within five minutes."),
        ANSWER_CITATIONS: _told(_HISTOGRAM, "Citations of an answer."),
        DOCUMENTS: _told(_COUNTER, "Submissions of documents that ended, by outcome."),
        DOCUMENT_FAILURES: _told(_COUNTER, "Documents that failed, by error code."),
        DOCUMENT_SEARCHABLE: _told(_HISTOGRAM, "From the submission of a document until it can be found.", "s"),
        RECONCILED: _told(_COUNTER, "Things that the reconciler found amiss, by what was done about them."),
        ADVISORIES: _told(_COUNTER, "Messages of which the broker says that nobody will get them again."),
        BROKER_UP: _told(_GAUGE, "Whether the broker answers the observer (1) or not (0)."),
        BROKER_LATENCY: _told(_GAUGE, "How long the broker took to answer.", "s"),
        BROKER_API_ERRORS: _told(_COUNTER, "Requests to JetStream's API that were answered with an error."),
        BROKER_STORAGE: _told(_GAUGE, "What all streams and buckets take on the broker's disk.", "By"),
        BROKER_STORAGE_LIMIT: _told(_GAUGE, "What they may take; none where that is not limited.", "By"),
        BROKER_CONNECTIONS: _told(_GAUGE, "Clients that are connected to the broker, where it tells."),
        STREAM_MESSAGES: _told(_GAUGE, "Messages that a stream holds."),
        STREAM_BYTES: _told(_GAUGE, "Bytes that a stream holds.", "By"),
        STREAM_LIMIT: _told(_GAUGE, "Bytes that a stream may hold.", "By"),
        STREAM_OLDEST: _told(_GAUGE, "Age of the oldest message of a stream, 0 when there is none.", "s"),
        CONSUMER_PENDING: _told(_GAUGE, "Messages that wait for a consumer."),
        CONSUMER_ACK_PENDING: _told(_GAUGE, "Messages that workers of a consumer have in hand."),
        CONSUMER_REDELIVERED: _told(_GAUGE, "Of these those that were delivered before."),
        CONSUMER_WAITING: _told(_GAUGE, "Requests of workers for the next message."),
        CONSUMER_STRANDED: _told(_GAUGE, "Messages of a work queue that no consumer will deliver any more."),
        CONSUMER_OLDEST: _told(
            _GAUGE, "Age of the oldest message that waits or is in hand, 0 when there is none.", "s"
        ),
        DEAD_LETTERS: _told(_GAUGE, "Messages that were given up and that nobody has dealt with."),
    }
)
"""By name. What processes measure themselves comes with its own metadata (docs/telemetry.md)."""
