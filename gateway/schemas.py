"""What travels over HTTP. Field names here are a promise to clients; contracts may change behind them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from contracts.answers import Citation, Usage
from contracts.documents import MAX_METADATA_PAIRS, DocumentRecord, DocumentState, Metadata
from contracts.identifiers import Token
from contracts.queries import (
    DEFAULT_DEADLINE_S,
    MAX_DEADLINE_S,
    MAX_TOP_K,
    Filters,
    GenerationParameters,
    RetrievedPassage,
    SearchMode,
)

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


class Accepted(Wire):
    """A submission that is stored and will end `ready`, `failed`, `superseded` or `deleted`."""

    document_id: str
    name: str
    version: int
    state: DocumentState
    unchanged: bool = False
    """True when this very content was there already: nothing is redone."""


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


class QueryBody(Wire):
    """A question, or a search (`generate: false`)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "How do bees tell each other where flowers are?", "top_k": 5}]}
    )

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K)
    mode: SearchMode = SearchMode.HYBRID
    filters: Filters = Field(default_factory=Filters)
    generate: bool = True
    stream: bool = False
    deadline_s: float = Field(default=DEFAULT_DEADLINE_S, gt=0, le=MAX_DEADLINE_S, allow_inf_nan=False)
    generation: GenerationParameters = Field(default_factory=GenerationParameters)


class Passage(Wire):
    """A passage found, best first; `start` and `end` are character offsets into the document's extracted text."""

    document_id: str
    name: str
    text: str
    score: float
    start: int
    end: int
    page: int | None = None
    heading: str | None = None
    generation: str
    metadata: Metadata = Field(default_factory=dict)

    @staticmethod
    def of(found: RetrievedPassage) -> Passage:
        return Passage.model_construct(
            document_id=found.document_id,
            name=found.name,
            text=found.text,
            score=found.score,
            start=found.start,
            end=found.end,
            page=found.page,
            heading=found.heading,
            generation=found.generation,
            metadata=found.metadata,
        )


class CitationView(Wire):
    """What `[n]` in the answer points at; `quote` is the document's extracted text from `start` to `end`."""

    n: int
    document_id: str
    name: str
    page: int | None = None
    heading: str | None = None
    start: int
    end: int
    quote: str
    generation: str

    @staticmethod
    def of(cited: Citation) -> CitationView:
        return CitationView.model_construct(
            n=cited.n,
            document_id=cited.document_id,
            name=cited.name,
            page=cited.page,
            heading=cited.heading,
            start=cited.start,
            end=cited.end,
            quote=cited.quote,
            generation=cited.generation,
        )


class RetrievedView(Wire):
    """The `retrieved` event."""

    query_id: str
    passages: list[Passage]
    timings_ms: dict[str, float]


class DeltaView(Wire):
    """A `delta` event. A higher `attempt` makes the text of lower ones void."""

    query_id: str
    attempt: int
    text: str


class CompletedView(Wire):
    """The `completed` event; it carries the whole answer and overrides all deltas."""

    query_id: str
    status: Literal["completed"] = "completed"
    answer: str | None
    answered: bool
    citations: list[CitationView]
    usage: Usage
    timings_ms: dict[str, float]


class Answer(CompletedView):
    """The answer to a question asked without streaming; `answer` is null where only a search was asked for."""

    passages: list[Passage]


class FailedView(Wire):
    """The `failed` event."""

    query_id: str
    status: Literal["failed"] = "failed"
    code: str
    message: str
    retryable: bool


class CancelledView(Wire):
    """The `cancelled` event, and what `DELETE /v1/queries/{id}` answers."""

    query_id: str
    status: Literal["cancelled"] = "cancelled"


class Member(Wire):
    """A process of the fleet as its last heartbeat told."""

    service: str
    instance: str
    host: str
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


class Fleet(Wire):
    items: list[Member]
    next: None = None


class Check(Wire):
    """One thing that readiness looks at."""

    name: str
    status: Literal["ok", "failing"]
    detail: str = ""


class Readiness(Wire):
    status: Literal["ready", "not ready"]
    checks: list[Check]
