"""Documents: their ledger record, and the messages that carry them from upload to index."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from contracts.errors import Code
from contracts.identifiers import ANONYMOUS, DEFAULT_TENANT, Token
from contracts.message import Message, Value
from contracts.sources import UrlSource

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MetadataKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
MetadataValue = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
Metadata = dict[MetadataKey, MetadataValue]
"""What a user attaches to a document and may filter by: at most 32 string pairs."""

MAX_METADATA_PAIRS = 32
Span = tuple[int, int]
"""A half-open character range `[start, end)`."""


class GenerationState(StrEnum):
    """Where one submission of a document stands. Legal moves are in `TRANSITIONS`."""

    SUBMITTED = "submitted"  # upload stored, ingest requested
    PLANNED = "planned"  # parsed and chunked; the batches are known, embedding goes on
    READY = "ready"  # every chunk is in the index; this is (or was) what searches see
    FAILED = "failed"  # ended with a reason
    SUPERSEDED = "superseded"  # a later submission won


TRANSITIONS: dict[GenerationState, frozenset[GenerationState]] = {
    GenerationState.SUBMITTED: frozenset({GenerationState.PLANNED, GenerationState.FAILED, GenerationState.SUPERSEDED}),
    GenerationState.PLANNED: frozenset({GenerationState.READY, GenerationState.FAILED, GenerationState.SUPERSEDED}),
    GenerationState.READY: frozenset({GenerationState.SUPERSEDED}),
    GenerationState.FAILED: frozenset({GenerationState.SUPERSEDED}),
    GenerationState.SUPERSEDED: frozenset(),
}


class DocumentState(StrEnum):
    """A document as its owner sees it: the state of its latest submission."""

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


class Failure(Value):
    """Why something ended badly: a stable code and a sentence that says what to do."""

    code: Code
    message: str


CHUNKING_VERSION = "2"
"""Raised when the same content with the same settings is cut otherwise than before."""


class Plan(Value):
    """How a generation was cut up, recorded before its first batch is published.

    `plan_id` is the digest of the content and of the parser's and chunker's settings: a redelivered request that
    arrives at the same id continues the same plan.
    """

    plan_id: Sha256
    batches: int = Field(ge=1)
    chunks: int = Field(ge=1)
    pages: int | None = Field(default=None, ge=1)
    characters: int = Field(ge=1)


class Generation(Value):
    """One submission of a document's content, and what became of it."""

    generation: Token
    version: int = Field(ge=1)
    state: GenerationState = GenerationState.SUBMITTED
    name: str = Field(min_length=1, max_length=512)
    sha256: Sha256
    size_bytes: int = Field(ge=0)
    media_type: str | None = None
    metadata: Metadata = Field(default_factory=dict, max_length=MAX_METADATA_PAIRS)
    principal: str = ANONYMOUS
    source: UrlSource | None = Field(default=None, exclude_if=lambda source: source is None)
    """Where its content was fetched from. Left out where there is none: releases before it can read the record then."""
    submitted_at: AwareDatetime
    updated_at: AwareDatetime
    plan: Plan | None = None
    failure: Failure | None = None


class DocumentRecord(Value):
    """The ledger's record of a document. It alone decides which chunks a search may return."""

    tenant: Token = DEFAULT_TENANT
    document_id: Token
    deleted: bool = False
    visible_generation: Token | None = None
    pending_generation: Token | None = None
    generations: tuple[Generation, ...] = Field(min_length=1)
    """By version, oldest first; the last one is the latest submission."""

    @model_validator(mode="after")
    def _names_known_generations(self) -> Self:
        known = {g.generation for g in self.generations}
        named = {self.visible_generation, self.pending_generation} - {None}
        if not named <= known:
            raise ValueError(f"generations {sorted(map(str, named - known))} are named but not recorded")
        return self

    @property
    def latest(self) -> Generation:
        return self.generations[-1]

    @property
    def state(self) -> DocumentState:
        if self.deleted:
            return DocumentState.DELETED
        return _SEEN_AS[self.latest.state]

    @property
    def searchable_generation(self) -> str | None:
        """The generation that searches may return; None when there is none."""
        return None if self.deleted else self.visible_generation

    def generation(self, generation: str) -> Generation | None:
        return next((g for g in self.generations if g.generation == generation), None)


_SEEN_AS = {
    GenerationState.SUBMITTED: DocumentState.SUBMITTED,
    GenerationState.PLANNED: DocumentState.PROCESSING,
    GenerationState.READY: DocumentState.READY,
    GenerationState.FAILED: DocumentState.FAILED,
    GenerationState.SUPERSEDED: DocumentState.PROCESSING,
}


class IngestRequest(Message):
    """Parse and chunk the uploaded content of one generation."""

    tenant: Token = DEFAULT_TENANT
    document_id: Token
    generation: Token
    name: str = Field(min_length=1, max_length=512)
    sha256: Sha256


class Chunk(Value):
    """A passage of the extracted text: `text == extracted[start:end]`.

    `sentences` are spans within `text`; `heading` is the path of headings above it, outermost first, joined by " › ".
    """

    ordinal: int = Field(ge=0)
    text: str = Field(min_length=1)
    start: int = Field(ge=0)
    end: int = Field(ge=1)
    page: int | None = Field(default=None, ge=1)
    heading: str | None = None
    sentences: tuple[Span, ...] = ()


class EmbedRequest(Message):
    """Encode one batch of a generation's chunks and write them to the index."""

    tenant: Token = DEFAULT_TENANT
    document_id: Token
    generation: Token
    plan_id: Sha256
    batch: int = Field(ge=0)
    name: str
    metadata: Metadata = Field(default_factory=dict)
    chunks: tuple[Chunk, ...] = Field(min_length=1)


class PurgeRequest(Message):
    """Delete the index rows of one generation and verify that none is left."""

    tenant: Token = DEFAULT_TENANT
    document_id: Token
    generation: Token
