"""Embed: the only writer of the index."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import BATCHES, DLQ, EMBED_WORKERS, PURGE_WORKERS, UPLOADS
from deploy.nats.grants import answers, consumes, hears, purges, reads, removes, worker, writes
from deploy.nats.user import User
from deploy.nats.users.shared import (
    CACHED,
    CONFIGURED,
    DOCUMENT_FACTS,
    ENDPOINTS,
    INDEX_MARK,
    LEDGER_WRITTEN,
    PURGE_REQUESTS,
)

EMBED = User(
    name="embed",
    why="Encodes chunks, writes the index, removes what is over from index, uploads and dead letters.",
    grants=(
        *worker("embed"),
        *consumes(EMBED_WORKERS, why="Batches of chunks."),
        *consumes(PURGE_WORKERS, why="Generations to be removed."),
        *LEDGER_WRITTEN,
        reads(BATCHES, why="How many batches of a document are done."),
        writes(BATCHES, "*.*", why="Batches that are done."),
        purges(BATCHES, why="Batches of documents that are ready."),
        reads(UPLOADS, why="What is to be removed of a deleted document."),
        purges(UPLOADS, why="Originals of deleted documents."),
        reads(DLQ, why="Dead letters that hold text of deleted documents."),
        removes(DLQ, why="Dead letters that hold text of deleted documents."),
        PURGE_REQUESTS,
        DOCUMENT_FACTS,
        *CACHED,
        *CONFIGURED,
        INDEX_MARK,
        *ENDPOINTS,
        hears(subjects.CENSUS, why="What the index holds is asked for."),
        answers("keeper", "admin", why="What the index holds."),
    ),
)
