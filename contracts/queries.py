"""Questions, what was retrieved for them, and the request to generate an answer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from contracts.documents import Metadata
from contracts.filters import Condition, Filters
from contracts.identifiers import DEFAULT_TENANT, Token, new_id
from contracts.message import Message, Value

DEFAULT_DEADLINE_S = 30.0
MAX_DEADLINE_S = 300.0
READ_ON_S = MAX_DEADLINE_S + 30.0
"""So long after a generation was superseded, questions that were under way may still read it."""
MAX_TOP_K = 50
MAX_QUERY_CHARACTERS = 4000
MAX_TURNS = 20
MAX_TURN_CHARACTERS = 8000


class SearchMode(StrEnum):
    """Which side of the index is asked."""

    VECTOR = "vector"
    KEYWORD = "keyword"
    HYBRID = "hybrid"


class GenerationParameters(Value):
    """How an answer is to be generated; what a generator cannot honour it ignores."""

    max_tokens: int | None = Field(default=None, ge=1, le=32768)
    temperature: float | None = Field(default=None, ge=0, le=2)
    stop: tuple[str, ...] = Field(default=(), max_length=8)
    seed: int | None = None


class Turn(Value):
    """What was said before in a conversation, by the one who asks or by the one who answers."""

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TURN_CHARACTERS)]


Conversation = Annotated[tuple[Turn, ...], Field(max_length=MAX_TURNS)]
"""What was said before, oldest first, without the question itself."""


class QueryRequest(Message):
    """Ask a question, or search only (`generate=False`).

    The time budget travels in the header `Waggle-Budget-Ms`; the deadline is the broker's time of this message plus it.
    """

    VERSION: ClassVar[int] = 3

    schema_version: int = Field(default=3, ge=1)
    tenant: Token = DEFAULT_TENANT
    query_id: Token = Field(default_factory=new_id)
    query: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS)]
    messages: Conversation = ()
    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K)
    mode: SearchMode = SearchMode.HYBRID
    filters: Filters = Field(default_factory=Filters)
    generate: bool = True
    stream: bool = True
    """Whether the answer is published piece by piece while it is made; its terminal carries the whole in any case."""
    generation: GenerationParameters = Field(default_factory=GenerationParameters)
    cache: bool = True
    """Whether an answer that was given before to the same question may be given again."""


class SentenceScore(Value):
    """A sentence of a passage, as a span of its text, with its similarity to the question (cosine, -1 to 1)."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    similarity: float | None = None


class RetrievedPassage(Value):
    """A visible chunk found for a question, best first. `start` and `end` refer to the document's extracted text."""

    chunk_id: str
    document_id: Token
    generation: Token
    name: str
    ordinal: int = Field(ge=0)
    text: str
    score: float
    start: int
    end: int
    page: int | None = None
    heading: str | None = None
    metadata: Metadata = Field(default_factory=dict)
    sentences: tuple[SentenceScore, ...] = ()


class GenerateRequest(Message):
    """Answer a question from these passages by the deadline (broker time)."""

    VERSION: ClassVar[int] = 3

    schema_version: int = Field(default=3, ge=1)
    tenant: Token = DEFAULT_TENANT
    query_id: Token
    query: str
    """As it was asked."""
    messages: Conversation = ()
    standalone: str | None = None
    """The question put so that it can be understood without `messages`, where there are any."""
    passages: tuple[RetrievedPassage, ...]
    encoder_serves_query: bool = True
    """Whether the encoder declares the script of the question; if not, similarities mean little."""
    stream: bool = True
    """As in `QueryRequest`."""
    generation: GenerationParameters = Field(default_factory=GenerationParameters)
    deadline: AwareDatetime
    timings_ms: dict[str, float] = Field(default_factory=dict)


__all__ = [
    "DEFAULT_DEADLINE_S",
    "MAX_DEADLINE_S",
    "MAX_QUERY_CHARACTERS",
    "MAX_TOP_K",
    "MAX_TURNS",
    "MAX_TURN_CHARACTERS",
    "Condition",
    "Conversation",
    "Filters",
    "GenerateRequest",
    "GenerationParameters",
    "QueryRequest",
    "RetrievedPassage",
    "SearchMode",
    "SentenceScore",
    "Turn",
]
