"""The gateway: everything that people ask for over HTTP, and nothing that only workers or the observer may say."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import (
    ALERTS,
    ANSWERS,
    APIKEYS,
    BATCHES,
    CONFIG,
    DLQ,
    GENERATE_STABLE_WORKERS,
    INGEST_WORKERS,
    LEASES,
    LIMITS,
    OPS,
    QUERY_WORKERS,
    REQUESTS,
    SILENCES,
    TENANTS,
)
from deploy.nats.grants import asks, hears, process, publishes, purges, reads, writes
from deploy.nats.user import User
from deploy.nats.users.shared import (
    CONFIGURED,
    DOCUMENT_FACTS,
    ENDS,
    LEDGER_WRITTEN,
    ORIGINALS,
    PURGE_REQUESTS,
    QUERY_FACTS,
)

_ADMITTING = (INGEST_WORKERS, QUERY_WORKERS, GENERATE_STABLE_WORKERS)

GATEWAY = User(
    name="gateway",
    why="HTTP for people and programs. The only process that reads API keys.",
    grants=(
        *process("gateway"),
        *LEDGER_WRITTEN,
        hears("$KV.documents.>", why="The list of documents, as it changes."),
        *ORIGINALS,
        reads(BATCHES, why="How far a document is."),
        publishes(subjects.ingest_request("*"), why="Documents to be read."),
        PURGE_REQUESTS,
        DOCUMENT_FACTS,
        hears(f"{subjects.EVENTS}.document.*.*", why="Who waits for a document is told."),
        publishes(subjects.query_request("*"), why="Questions."),
        publishes(subjects.ENCODE, why="Texts to be encoded."),
        publishes(subjects.generate_request("*", "*"), why="Questions that are replayed from their dead letters."),
        reads(ANSWERS, why="Answers that are read on."),
        hears(subjects.answer("*", "*"), subjects.answer_end("*", "*"), why="Answers, as they come."),
        *ENDS,
        QUERY_FACTS,
        publishes(subjects.cancel("*", "*"), why="Who does not wait any more."),
        publishes(subjects.resume("*", "*"), why="An answer is read on here."),
        hears(subjects.resume("*", "*"), why="An answer is read on at another gateway."),
        reads(DLQ, why="Dead letters."),
        purges(DLQ, why="Dead letters that were replayed or dropped."),
        asks(
            *(f"CONSUMER.INFO.{each.stream.name}.{each.durable}" for each in _ADMITTING),
            why="How far behind a stage is.",
        ),
        hears(subjects.health("*", "*"), why="Who is there."),
        publishes(f"{subjects.OBSERVER_REQUESTS}.*", why="Questions to the observer."),
        reads(APIKEYS, why="Who may ask."),
        writes(APIKEYS, "key.*", "used.*", why="Keys that are made, revoked, used."),
        purges(APIKEYS, why="Keys that are over."),
        hears(f"$KV.{APIKEYS.name}.key.*", why="Keys, as they are revoked."),
        reads(TENANTS, why="What is agreed with tenants."),
        writes(TENANTS, "*", why="What people agree with a tenant."),
        purges(TENANTS, why="What is agreed no more."),
        hears(f"$KV.{TENANTS.name}.*", why="What is agreed with tenants, as it changes."),
        reads(LIMITS, why="How many requests were let in."),
        writes(LIMITS, "key.*", "tenant.*", "address.*", why="How many requests were let in."),
        reads(REQUESTS, why="What came of requests with an idempotency key."),
        writes(REQUESTS, "*", why="Requests with an idempotency key, as they are carried out."),
        purges(REQUESTS, why="Keys of requests that were refused."),
        *CONFIGURED,
        writes(CONFIG, "runtime.>", "rules.*", "recovery.pause", why="What people set: values, rules, a pause."),
        purges(CONFIG, why="Rules that were removed, revisions that are too old."),
        publishes(subjects.CONFIG_CHANGES, why="Who changed what is set."),
        publishes(subjects.audit("*", "*"), why="Who does what to the system, and what came of it."),
        reads(SILENCES, why="Silences."),
        writes(SILENCES, "*", why="Silences that people make and end."),
        purges(SILENCES, why="Silences that are long over."),
        reads(ALERTS, OPS, why="Incidents, and what was done about them."),
        publishes(subjects.recovery_approval("*"), why="What people allow or forbid."),
        reads(LEASES, why="Its own probe."),
        writes(LEASES, "*", why="Its own probe: whether the broker keeps what is written."),
    ),
)
