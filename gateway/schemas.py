"""What travels over HTTP. Field names here are a promise to clients; contracts may change behind them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from contracts.documents import MAX_METADATA_PAIRS, DocumentRecord, DocumentState, Metadata
from contracts.identifiers import Token
from contracts.sources import SourceUrl, UrlSource

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""A document's name: a label without control characters; it may look like a path and is never used as one."""

NAME: TypeAdapter[str] = TypeAdapter(Name)
DOCUMENT_ID: TypeAdapter[str] = TypeAdapter(Token)
METADATA: TypeAdapter[Metadata] = TypeAdapter(Annotated[Metadata, Field(max_length=MAX_METADATA_PAIRS)])


class Wire(BaseModel):
    """Base of bodies: unknown fields are refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DocumentText(Wire):
    """A document given as text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "note.txt", "text": "Bees dance.", "metadata": {"topic": "bees"}}]}
    )

    name: Name
    text: str = Field(min_length=1)
    metadata: Metadata = Field(default_factory=dict, max_length=MAX_METADATA_PAIRS)
    document_id: Token | None = None


class DocumentUrl(Wire):
    """A document to be fetched. Without a `document_id` it is the same document each time for the same URL."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://docs.example.org/handbook.pdf", "metadata": {"topic": "bees"}}]
        }
    )

    url: SourceUrl
    name: Name | None = None
    metadata: Metadata = Field(default_factory=dict, max_length=MAX_METADATA_PAIRS)
    document_id: Token | None = None


class Accepted(Wire):
    """A submission that is stored and will end `ready`, `failed`, `superseded` or `deleted`."""

    document_id: str
    name: str
    version: int
    state: DocumentState
    unchanged: bool = False
    """True when this very content was there already: nothing is redone."""

    @classmethod
    def of(cls, record: DocumentRecord, *, name: str, unchanged: bool = False) -> Self:
        return cls(
            document_id=record.document_id,
            name=name,
            version=record.latest.version,
            state=record.state,
            unchanged=unchanged,
        )


class Refused(Wire):
    """A file of an upload that was not accepted, with its problem document."""

    name: str
    problem: dict[str, object]


class Uploaded(Wire):
    """What became of each file of an upload, in order."""

    items: list[Accepted | Refused]


class FailureView(Wire):
    code: str
    message: str


class SourceView(Wire):
    """Where a document was fetched from, and what its server said of its version."""

    url: str
    etag: str | None
    last_modified: str | None

    @classmethod
    def of(cls, source: UrlSource) -> Self:
        return cls(url=source.url, etag=source.etag, last_modified=source.last_modified)


class DocumentView(Wire):
    """A document: its latest submission, and which version searches see."""

    document_id: str
    name: str
    state: DocumentState
    version: int
    visible_version: int | None
    size_bytes: int
    media_type: str | None
    sha256: str
    metadata: Metadata
    source: SourceView | None
    pages: int | None
    chunks: int | None
    characters: int | None
    submitted_at: AwareDatetime
    updated_at: AwareDatetime
    failure: FailureView | None

    @classmethod
    def of(cls, record: DocumentRecord) -> Self:
        latest, plan, failure = record.latest, record.latest.plan, record.latest.failure
        visible = record.generation(record.searchable_generation) if record.searchable_generation else None
        return cls(
            document_id=record.document_id,
            name=latest.name,
            state=record.state,
            version=latest.version,
            visible_version=visible.version if visible else None,
            size_bytes=latest.size_bytes,
            media_type=latest.media_type,
            sha256=latest.sha256,
            metadata=latest.metadata,
            source=SourceView.of(latest.source) if latest.source else None,
            pages=plan.pages if plan else None,
            chunks=plan.chunks if plan else None,
            characters=plan.characters if plan else None,
            submitted_at=latest.submitted_at,
            updated_at=latest.updated_at,
            failure=FailureView(code=failure.code, message=failure.message) if failure else None,
        )


class DocumentList(Wire):
    """A page of documents, newest submission first; `next` is the cursor of the following page."""

    items: list[DocumentView]
    next: str | None


class Deleted(Wire):
    document_id: str
    version: int
    state: Literal[DocumentState.DELETED] = DocumentState.DELETED


class DocumentProgress(Wire):
    """An event of `/v1/documents/{id}/events`: where the latest submission stands."""

    document_id: str
    name: str
    version: int
    state: DocumentState
    batches_done: int | None = None
    batches: int | None = None
    chunks: int | None = None
    failure: FailureView | None = None


class Member(Wire):
    """A process of the fleet as its last heartbeat told."""

    service: str
    instance: str
    host: str
    pid: int
    version: str
    track: str
    state: str
    stale: bool
    heartbeat_age_s: float
    started_at: AwareDatetime
    in_flight: int
    oldest_in_flight_s: float | None
    progress: int
    last_progress_at: AwareDatetime | None
    rss_bytes: int
    cpu_s: float
    checks: list[dict[str, object]]
    facts: dict[str, str]


class Fleet(Wire):
    items: list[Member]


class Check(Wire):
    """One thing that readiness looks at."""

    name: str
    status: Literal["ok", "failing"]
    detail: str = ""


class Readiness(Wire):
    status: Literal["ready", "not ready"]
    checks: list[Check]
