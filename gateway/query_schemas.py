"""What travels over HTTP about questions and answers; see `gateway.schemas` for the rest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from contracts.answers import Citation, Usage
from contracts.documents import Metadata
from contracts.queries import (
    DEFAULT_DEADLINE_S,
    MAX_DEADLINE_S,
    MAX_QUERY_CHARACTERS,
    MAX_TOP_K,
    Conversation,
    Filters,
    GenerationParameters,
    RetrievedPassage,
    SearchMode,
)
from contracts.query_views import QueryState
from gateway.schemas import Wire


class QueryBody(Wire):
    """A question, or a search (`generate: false`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "How do bees tell each other where flowers are?", "top_k": 5},
                {
                    "query": "Which hives were lost?",
                    "filters": {"metadata": {"lang": ["en", "de"], "year": {"gte": 2020, "lt": 2024}}},
                },
            ]
        }
    )

    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS)]
    messages: Conversation = Field(default=(), description="What was said before, oldest first, without the question.")
    top_k: int = Field(
        default=5, ge=1, le=MAX_TOP_K, description="How many passages; another default may be set while all runs."
    )
    mode: SearchMode = SearchMode.HYBRID
    filters: Filters = Field(default_factory=Filters)
    generate: bool = True
    stream: bool = False
    deadline_s: float = Field(default=DEFAULT_DEADLINE_S, gt=0, le=MAX_DEADLINE_S, allow_inf_nan=False)
    generation: GenerationParameters = Field(default_factory=GenerationParameters)
    cache: bool = Field(default=True, description="Whether an answer given before may be given again.")


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
    searched_for: str | None = None
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
    model: str | None = None
    prompt_version: str | None = None
    finish_reason: str | None = None
    cached: bool = False
    usage: Usage
    timings_ms: dict[str, float]


class Answer(CompletedView):
    """The answer to a question asked without streaming; `answer` is null where only a search was asked for."""

    searched_for: str | None = None
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


class KeptAnswer(CompletedView):
    """The answer as `POST /v1/query` gave it, but that `passages` is null when they are not kept any more."""

    searched_for: str | None = None
    passages: list[Passage] | None


class QueryView(Wire):
    """Where a question stands, and what came of it: null while it runs."""

    query_id: str
    state: QueryState
    result: Annotated[KeptAnswer | FailedView | CancelledView, Field(discriminator="status")] | None = None
