"""Which message is work of which kind, told by its subject."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import subjects
from contracts.documents import EmbedRequest, IngestRequest
from contracts.errors import InvalidMessageError, NewerSchemaError
from contracts.message import Message
from contracts.queries import GenerateRequest, QueryRequest

_KINDS: Mapping[str, type[Message]] = {
    f"{subjects.INGEST_REQUESTS}.": IngestRequest,
    f"{subjects.EMBED_REQUESTS}.": EmbedRequest,
    f"{subjects.QUERY_REQUESTS}.": QueryRequest,
    f"{subjects.GENERATE_REQUESTS}.": GenerateRequest,
}


def work_in(subject: str, data: bytes) -> Message | None:
    """The request that somebody waits for: of a document or a query.

    None for any other subject, for what this release cannot read, and for a message that names another tenant than its
    subject.
    """
    kind = next((kind for start, kind in _KINDS.items() if subject.startswith(start)), None)
    try:
        message = kind.from_bytes(data) if kind else None
    except (InvalidMessageError, NewerSchemaError):
        return None
    return message if getattr(message, "tenant", None) == subjects.tenant_of(subject) else None
