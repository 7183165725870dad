"""Life-cycle facts: what happened to a document or a query, told once it is true."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from contracts.documents import Failure
from contracts.identifiers import DEFAULT_TENANT, Token
from contracts.message import Message


class DocumentFact(StrEnum):
    SUBMITTED = "submitted"
    PLANNED = "planned"
    PROGRESS = "progress"
    READY = "ready"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    PURGED = "purged"


class QueryFact(StrEnum):
    ACCEPTED = "accepted"  # republished by the broker: headers only, no body
    RETRIEVED = "retrieved"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DocumentEvent(Message):
    """A fact about one generation of a document. `id` is deterministic: consumers drop repeats by it."""

    id: str
    tenant: Token = DEFAULT_TENANT
    document_id: Token
    generation: Token
    version: int = Field(ge=1)
    fact: DocumentFact
    name: str = ""
    batches_done: int | None = None
    batches: int | None = None
    chunks: int | None = None
    failure: Failure | None = None


class QueryEvent(Message):
    """A fact about a query, with the time each stage took."""

    VERSION: ClassVar[int] = 2

    schema_version: int = Field(default=2, ge=1)
    id: str
    tenant: Token = DEFAULT_TENANT
    query_id: Token
    fact: QueryFact
    answered: bool | None = None
    passages: int | None = None
    top_score: float | None = None
    citations: int | None = None
    failure: Failure | None = None
    timings_ms: dict[str, float] = Field(default_factory=dict)
    writing_s: float | None = Field(default=None, ge=0)
    """From the first piece of the answer to its end, where there is an answer; 0 of one that had been given before."""
    cached: bool | None = None
    """Whether the answer had been given before, where there is one."""
    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)
    """Tokens read and written for the answer, as the generator counts them."""
