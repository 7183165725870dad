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
from contracts.streams import (
    ADVISORIES,
    ANSWERS,
    DLQ,
    EMBED,
    EVENTS,
    GENERATE,
    INGEST,
    OPS,
    QUERY,
    STREAMS,
    TERMINALS,
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
