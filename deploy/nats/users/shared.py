"""Grants that several services have: the configuration, the ledger, originals, caches, the endpoints of models, leases."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import ANSWERS, CACHE, CONFIG, DOCUMENTS, EMBED, LEASES, TERMINALS, UPLOADS
from deploy.nats.grants import Grant, answers, hears, publishes, purges, reads, stream_of, uploads_to, writes

CONFIGURED = (
    reads(CONFIG, why="What is set for the running fleet."),
    hears(f"$KV.{CONFIG.name}.runtime.current", why="What is set for the running fleet, as it changes."),
)
LEDGER_READ = reads(DOCUMENTS, why="The ledger: which generation of a document is visible.")
LEDGER_WRITTEN = (LEDGER_READ, writes(DOCUMENTS, "*.*", why="The ledger: what became of a document."))
ORIGINALS = (
    reads(UPLOADS, why="Originals and extracted texts."),
    uploads_to(UPLOADS, why="Originals and extracted texts."),
    purges(UPLOADS, why="Uploads that were cut off or replaced."),
)
DOCUMENT_FACTS = publishes(f"{subjects.EVENTS}.document.*.*", why="What became of a document.")
QUERY_FACTS = publishes(f"{subjects.EVENTS}.query.*.*", why="What became of a question.")
PURGE_REQUESTS = publishes(subjects.embed_purge("*"), why=f"Rows of void generations, removed by way of {EMBED.name}.")
ENDS = (
    publishes(subjects.terminal("*", "*"), why="How a question ends."),
    reads(TERMINALS, why="Whether a question has ended."),
)
ANSWERED = publishes(subjects.answer("*", "*"), why=f"Passages and pieces of answers, to {ANSWERS.name}.")
CANCELLED = hears(subjects.cancel("*", "*"), why="Who does not wait for an answer any more.")
CACHED = (
    reads(CACHE, why="What is remembered (WAGGLE_CACHE=nats)."),
    writes(CACHE, why="What is remembered."),
    purges(CACHE, why="What must be forgotten."),
    publishes(subjects.CACHE_CONTROL, why="That a cache was cleared."),
    hears(subjects.CACHE_CONTROL, why="That a cache was cleared elsewhere."),
)
INDEX_MARK = writes(CONFIG, "index.mark", why="Which place the index is in.")
ENDPOINTS = (
    hears(
        subjects.ENDPOINT_ORDERS, subjects.ENDPOINT_REPORTS, why="Orders about endpoints of models, and how they do."
    ),
    answers("admin", "observer", why="How the endpoints do."),
)


def leading(*leases: str) -> tuple[Grant, ...]:
    """Holding leases of these names, or patterns of names."""
    return (
        reads(LEASES, why="Who leads."),
        writes(LEASES, *leases, why="Leading."),
        purges(LEASES, why=f"Leading no more; {stream_of(LEASES)} is emptied by itself otherwise."),
    )
