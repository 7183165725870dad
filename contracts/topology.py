"""The broker's furniture: every stream, durable consumer, KV bucket and object bucket, with the reason for its settings.

`messaging.provisioning` applies this table; nothing else declares anything. Sizes are bytes, times seconds.
All streams are file streams: after a broker crash even the definition of a memory stream is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts import subjects
from contracts.buckets import (
    ALERTS,
    APIKEYS,
    BATCHES,
    CACHE,
    CONFIG,
    DOCUMENTS,
    KEY_VALUES,
    LEASES,
    LIMITS,
    OBJECT_BUCKETS,
    REQUESTS,
    SILENCES,
    SUSPECTS,
    TENANTS,
    UPLOADS,
)
from contracts.declarations import (
    DAY,
    HOUR,
    MINUTE,
    Consumer,
    Discard,
    GiB,
    KeyValue,
    MiB,
    ObjectBucket,
    Republish,
    Retention,
    Stream,
)
from contracts.queries import MAX_DEADLINE_S

INGEST = Stream(
    name="INGEST",
    subjects=(f"{subjects.INGEST_REQUESTS}.*",),
    retention=Retention.WORK_QUEUE,
    discard=Discard.NEW,
    max_bytes=1 * GiB,
    why="Work queue: a request lives until it is acknowledged. Full means refuse at the door, never drop accepted work.",
)
EMBED = Stream(
    name="EMBED",
    subjects=(f"{subjects.EMBED_REQUESTS}.*", f"{subjects.EMBED_PURGES}.*"),
    retention=Retention.WORK_QUEUE,
    discard=Discard.NEW,
    max_bytes=2 * GiB,
    why="Batches of chunks and purges; full makes ingest wait inside its handler, which is the back-pressure.",
)
QUERY = Stream(
    name="QUERY",
    subjects=(f"{subjects.QUERY_REQUESTS}.*",),
    retention=Retention.WORK_QUEUE,
    discard=Discard.NEW,
    max_bytes=256 * MiB,
    max_age_s=MAX_DEADLINE_S + MINUTE,
    async_persist=True,
    republish=Republish(
        source=f"{subjects.QUERY_REQUESTS}.*",
        destination=f"{subjects.EVENTS}.query.accepted.{{{{wildcard(1)}}}}",
        headers_only=True,
    ),
    why="Nobody waits longer than the longest deadline. The republished headers, which are on the disk at once, tell the "
    "keeper which query ends when: one that a power cut takes from this stream ends failed, and may be asked again.",
)
GENERATE = Stream(
    name="GENERATE",
    subjects=(f"{subjects.GENERATE_REQUESTS}.*.*",),
    retention=Retention.WORK_QUEUE,
    discard=Discard.NEW,
    max_bytes=512 * MiB,
    max_age_s=MAX_DEADLINE_S + MINUTE,
    async_persist=True,
    why="As QUERY; the second token is the release track, so that a canary can be fed a share.",
)
ANSWERS = Stream(
    name="ANSWERS",
    subjects=(f"{subjects.ANSWERS}.*.*", f"{subjects.ANSWERS}.*.*.end"),
    retention=Retention.LIMITS,
    discard=Discard.OLD,
    max_bytes=512 * MiB,
    max_age_s=15 * MINUTE,
    async_persist=True,
    why="Kept so that a reader can resume. A delta lost to a power cut is repaired by the terminal, hence asynchronous.",
)
TERMINALS = Stream(
    name="TERMINALS",
    subjects=(f"{subjects.TERMINALS}.*.*",),
    retention=Retention.LIMITS,
    discard=Discard.NEW,
    max_bytes=4 * GiB,
    max_age_s=30 * MINUTE,
    max_msgs_per_subject=1,
    discard_new_per_subject=True,
    republish=Republish(
        source=f"{subjects.TERMINALS}.*.*",
        destination=f"{subjects.ANSWERS}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}.end",
    ),
    why="The arbiter: the first terminal of a query is stored, all others are refused by the broker. Kept longer than "
    "any redelivery, so a late worker finds it.",
)
EVENTS = Stream(
    name="EVENTS",
    subjects=(f"{subjects.EVENTS}.*.*.*",),
    retention=Retention.LIMITS,
    discard=Discard.OLD,
    max_bytes=1 * GiB,
    max_age_s=7 * DAY,
    why="Life-cycle facts for progress, audit and the keeper's timers; days are enough to look back.",
)
OPS = Stream(
    name="OPS",
    subjects=(
        f"{subjects.ALERTS}.>",
        f"{subjects.NOTIFICATIONS}.>",
        f"{subjects.RECOVERY}.>",
        subjects.CONFIG_CHANGES,
        f"{subjects.AUDIT}.*.*",
    ),
    retention=Retention.LIMITS,
    discard=Discard.OLD,
    max_bytes=256 * MiB,
    max_age_s=28 * DAY,
    why="Alerts, who was told of them, recovery commands, changes of the configuration and other acts of those who run the "
    "system, kept for weeks as the audit of what was done, and of what the system did on its own.",
)
DLQ = Stream(
    name="DLQ",
    subjects=(f"{subjects.DEAD_LETTERS}.*.*",),
    retention=Retention.LIMITS,
    discard=Discard.OLD,
    max_bytes=1 * GiB,
    max_age_s=28 * DAY,
    max_msgs_per_subject=1,
    why="One dead letter per message, kept until a person has looked.",
)
ADVISORIES = Stream(
    name="ADVISORIES",
    subjects=(
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
        "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
    ),
    retention=Retention.LIMITS,
    discard=Discard.OLD,
    max_bytes=64 * MiB,
    max_age_s=7 * DAY,
    why="The broker says only once that a message ran out of deliveries; unheard it would lie in its queue for ever.",
)

STREAMS: tuple[Stream, ...] = (
    EVENTS,  # before the streams that republish into it
    ANSWERS,
    INGEST,
    EMBED,
    QUERY,
    GENERATE,
    TERMINALS,
    OPS,
    DLQ,
    ADVISORIES,
)

INGEST_WORKERS = Consumer(
    durable="ingest",
    stream=INGEST,
    filter_subject=f"{subjects.INGEST_REQUESTS}.*",
    why="A lost ingest worker is noticed after 30 s; long parsing beats meanwhile.",
)
EMBED_WORKERS = Consumer(
    durable="embed",
    stream=EMBED,
    filter_subject=f"{subjects.EMBED_REQUESTS}.*",
    why="Read in batches and gathered into model-sized ones; in-progress beats cover slow encoders.",
)
PURGE_WORKERS = Consumer(
    durable="purge",
    stream=EMBED,
    filter_subject=f"{subjects.EMBED_PURGES}.*",
    why="Purges are run by embed, the only writer of the index, without waiting behind batches.",
)
QUERY_WORKERS = Consumer(
    durable="retrieve",
    stream=QUERY,
    filter_subject=f"{subjects.QUERY_REQUESTS}.*",
    ack_wait_s=5.0,
    attempts=4,
    why="Somebody waits: a lost retrieve worker is replaced within 5 s.",
)
GENERATE_STABLE_WORKERS = Consumer(
    durable="generate-stable",
    stream=GENERATE,
    filter_subject=f"{subjects.GENERATE_REQUESTS}.stable.*",
    ack_wait_s=5.0,
    attempts=4,
    why="As retrieve; beats cover long generations.",
)
GENERATE_CANARY_WORKERS = Consumer(
    durable="generate-canary",
    stream=GENERATE,
    filter_subject=f"{subjects.GENERATE_REQUESTS}.canary.*",
    ack_wait_s=5.0,
    attempts=4,
    why="The canary track has its own durable, so that stable workers can take it over on rollback.",
)
KEEPER_ADVISORIES = Consumer(
    durable="keeper-advisories",
    stream=ADVISORIES,
    filter_subject="$JS.EVENT.ADVISORY.CONSUMER.>",
    max_deliver=-1,
    why="Every advisory ends as a dead letter, however often the keeper dies on the way.",
)

OPERATORS = Consumer(
    durable="operator",
    stream=OPS,
    filter_subject=f"{subjects.RECOVERY_COMMANDS}.>",
    ack_wait_s=15.0,
    attempts=2,
    max_ack_pending=1,
    why="One command at a time, however many operators there are; one that died with it is replaced soon, and says that it may "
    "have been done.",
)

CONSUMERS: tuple[Consumer, ...] = (
    INGEST_WORKERS,
    EMBED_WORKERS,
    PURGE_WORKERS,
    QUERY_WORKERS,
    GENERATE_STABLE_WORKERS,
    GENERATE_CANARY_WORKERS,
    KEEPER_ADVISORIES,
    OPERATORS,
)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """The whole table; tests and benchmarks pass one with shorter times."""

    streams: tuple[Stream, ...] = STREAMS
    consumers: tuple[Consumer, ...] = CONSUMERS
    key_values: tuple[KeyValue, ...] = KEY_VALUES
    object_buckets: tuple[ObjectBucket, ...] = field(default=OBJECT_BUCKETS)

    @property
    def leases(self) -> KeyValue:
        """The bucket of leases as this table has it, which decides how long one lasts."""
        return next(bucket for bucket in self.key_values if bucket.name == LEASES.name)


__all__ = [
    "ADVISORIES",
    "ALERTS",
    "ANSWERS",
    "APIKEYS",
    "BATCHES",
    "CACHE",
    "CONFIG",
    "CONSUMERS",
    "DAY",
    "DLQ",
    "DOCUMENTS",
    "EMBED",
    "EMBED_WORKERS",
    "EVENTS",
    "GENERATE",
    "GENERATE_CANARY_WORKERS",
    "GENERATE_STABLE_WORKERS",
    "HOUR",
    "INGEST",
    "INGEST_WORKERS",
    "KEEPER_ADVISORIES",
    "KEY_VALUES",
    "LEASES",
    "LIMITS",
    "MINUTE",
    "OBJECT_BUCKETS",
    "OPERATORS",
    "OPS",
    "PURGE_WORKERS",
    "QUERY",
    "QUERY_WORKERS",
    "REQUESTS",
    "SILENCES",
    "STREAMS",
    "SUSPECTS",
    "TENANTS",
    "TERMINALS",
    "UPLOADS",
    "Consumer",
    "Discard",
    "GiB",
    "KeyValue",
    "MiB",
    "ObjectBucket",
    "Republish",
    "Retention",
    "Stream",
    "Topology",
]
