"""The KV buckets and object buckets of the topology, with the reason for each."""

from __future__ import annotations

from contracts.declarations import DAY, GiB, KeyValue, MiB, ObjectBucket

DOCUMENTS = KeyValue(name="documents", why="The ledger. The only authority on what is visible; tombstones are kept.")
BATCHES = KeyValue(
    name="batches",
    ttl_s=14 * DAY,
    why="One key per finished embed batch: created, never contended; cleared at the flip, aged out if that is missed.",
)
CONFIG = KeyValue(
    name="config", history=16, why="Runtime-changeable settings; the history is what rollback goes back to."
)
LEASES = KeyValue(
    name="leases", ttl_s=30.0, why="Leadership of keeper and observer; the revision is the fencing token."
)
ANSWERS_CACHE = KeyValue(
    name="answers-cache", ttl_s=DAY, max_bytes=256 * MiB, why="Answers with the generations they rest on."
)
ALERTS = KeyValue(name="alerts", history=8, why="Alert state that outlives the observer.")
SILENCES = KeyValue(name="silences", history=8, why="Who silenced what until when.")
APIKEYS = KeyValue(name="apikeys", history=4, why="Hashed API keys; revocation is a write.")

KEY_VALUES: tuple[KeyValue, ...] = (
    DOCUMENTS,
    BATCHES,
    CONFIG,
    LEASES,
    ANSWERS_CACHE,
    ALERTS,
    SILENCES,
    APIKEYS,
)

UPLOADS = ObjectBucket(
    name="uploads",
    max_bytes=20 * GiB,
    why="Originals and extracted texts; the broker's message limit is 1 MiB, so documents travel by reference.",
)
OBJECT_BUCKETS: tuple[ObjectBucket, ...] = (UPLOADS,)
