"""Every subject and header name, in one place. Tenants and ids are validated tokens before they come here."""

from __future__ import annotations

from contracts.events import DocumentFact, QueryFact
from contracts.reconciliation import Remedy

HEADER_BUDGET_MS = "Waggle-Budget-Ms"
"""How many milliseconds after the broker's time of the message its query must have ended."""
HEADER_QUERY_ID = "Waggle-Query-Id"
HEADER_MESSAGE_ID = "Nats-Msg-Id"

INGEST_REQUESTS = "rag.ingest.requests"
EMBED_REQUESTS = "rag.embed.requests"
EMBED_PURGES = "rag.embed.purges"
QUERY_REQUESTS = "rag.query.requests"
GENERATE_REQUESTS = "rag.generate.requests"
ANSWERS = "rag.answers"
TERMINALS = "rag.terminal"
EVENTS = "rag.events"
DEAD_LETTERS = "rag.dlq"
HEALTH = "rag.health"
CANCEL = "rag.cancel"
RESUME = "rag.resume"
CENSUS = "rag.index.census"


def ingest_request(tenant: str) -> str:
    return f"{INGEST_REQUESTS}.{tenant}"


def embed_request(tenant: str) -> str:
    return f"{EMBED_REQUESTS}.{tenant}"


def embed_purge(tenant: str) -> str:
    return f"{EMBED_PURGES}.{tenant}"


def query_request(tenant: str) -> str:
    return f"{QUERY_REQUESTS}.{tenant}"


def generate_request(tenant: str, track: str = "stable") -> str:
    return f"{GENERATE_REQUESTS}.{track}.{tenant}"


def answer(tenant: str, query_id: str) -> str:
    return f"{ANSWERS}.{tenant}.{query_id}"


def answer_end(tenant: str, query_id: str) -> str:
    return f"{ANSWERS}.{tenant}.{query_id}.end"


def terminal(tenant: str, query_id: str) -> str:
    return f"{TERMINALS}.{tenant}.{query_id}"


def document_event(fact: DocumentFact, tenant: str) -> str:
    return f"{EVENTS}.document.{fact}.{tenant}"


def query_event(fact: QueryFact, tenant: str) -> str:
    return f"{EVENTS}.query.{fact}.{tenant}"


def reconcile_event(remedy: Remedy, tenant: str) -> str:
    return f"{EVENTS}.reconcile.{remedy}.{tenant}"


def dead_letter(stream: str, message_id: str) -> str:
    return f"{DEAD_LETTERS}.{stream}.{message_id}"


def health(service: str, instance: str) -> str:
    return f"{HEALTH}.{service}.{instance}"


def cancel(tenant: str, query_id: str) -> str:
    return f"{CANCEL}.{tenant}.{query_id}"


def resume(tenant: str, query_id: str) -> str:
    """Somebody reads this answer on after its first reader left: do not cancel it."""
    return f"{RESUME}.{tenant}.{query_id}"


def tenant_of(subject: str) -> str:
    """The tenant of a work subject: its last token."""
    return subject.rsplit(".", 1)[-1]
