"""Ingest: reads originals, writes plans and texts, sends out batches."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import INGEST_WORKERS
from deploy.nats.grants import consumes, publishes, worker
from deploy.nats.user import User
from deploy.nats.users.shared import DOCUMENT_FACTS, LEDGER_WRITTEN, ORIGINALS, PURGE_REQUESTS

INGEST = User(
    name="ingest",
    why="Reads documents. It runs parsers on what strangers send.",
    grants=(
        *worker("ingest"),
        *consumes(INGEST_WORKERS, why="Documents to be read."),
        *LEDGER_WRITTEN,
        *ORIGINALS,
        publishes(subjects.embed_request("*"), why="Batches of chunks."),
        publishes(subjects.ingest_request("*"), why="A document that is read anew under a new generation."),
        PURGE_REQUESTS,
        DOCUMENT_FACTS,
    ),
)
