"""The broker's streams, as `contracts.topology` lists them. Sizes are bytes, times seconds.

All are file streams: after a broker crash even the definition of a memory stream is gone.
"""

from __future__ import annotations

from contracts import subjects
from contracts.declarations import DAY, MINUTE, Discard, GiB, MiB, Republish, Retention, Stream
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
