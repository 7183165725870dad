"""The KV buckets and object buckets of the topology, with the reason for each."""

from __future__ import annotations

from contracts.declarations import DAY, Discard, GiB, KeyValue, MiB, ObjectBucket

DOCUMENTS = KeyValue(name="documents", why="The ledger. The only authority on what is visible; tombstones are kept.")
BATCHES = KeyValue(
    name="batches",
    ttl_s=14 * DAY,
    why="One key per finished embed batch: created, never contended; cleared at the flip, aged out if that is missed.",
)
CONFIG = KeyValue(
    name="config",
    history=16,
    why="What is changed while everything runs: revisions of settings, rules, orders about endpoints.",
)
LEASES = KeyValue(
    name="leases", ttl_s=30.0, why="Leadership of keeper and observer; the revision is the fencing token."
)
SUSPECTS = KeyValue(
    name="suspects",
    ttl_s=DAY,
    max_bytes=64 * MiB,
    why="Which deliveries of a message that came again and again count as attempts: neither those in which it stood "
    "behind another that ended its process, nor those that were handed back.",
)
CACHE = KeyValue(
    name="cache",
    ttl_s=DAY,
    max_bytes=256 * MiB,
    discard=Discard.OLD,
    why="What can be computed again: answers, vectors of questions. A full one forgets the oldest instead of refusing.",
)
ALERTS = KeyValue(name="alerts", history=8, why="Alert state that outlives the observer.")
SILENCES = KeyValue(name="silences", history=8, why="Who silenced what until when.")
APIKEYS = KeyValue(name="apikeys", history=4, why="Hashed API keys; revocation is a write.")
TENANTS = KeyValue(
    name="tenants",
    history=4,
    why="What is agreed with single tenants: their limits, quotas, and share of what is scarce.",
)
LIMITS = KeyValue(
    name="limits",
    ttl_s=2 * DAY,
    max_bytes=64 * MiB,
    discard=Discard.OLD,
    why="How many requests were let in of late, counted by all gateways together.",
)
REQUESTS = KeyValue(
    name="requests",
    ttl_s=DAY,
    max_bytes=256 * MiB,
    why="What came of requests with an idempotency key. A full one refuses them: none is done twice unnoticed.",
)

KEY_VALUES: tuple[KeyValue, ...] = (
    DOCUMENTS,
    BATCHES,
    CONFIG,
    LEASES,
    SUSPECTS,
    CACHE,
    ALERTS,
    SILENCES,
    APIKEYS,
    TENANTS,
    LIMITS,
    REQUESTS,
)

UPLOADS = ObjectBucket(
    name="uploads",
    max_bytes=20 * GiB,
    why="Originals and extracted texts; the broker's message limit is 1 MiB, so documents travel by reference.",
)
OBJECT_BUCKETS: tuple[ObjectBucket, ...] = (UPLOADS,)
