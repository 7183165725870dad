"""What a reader of an answer subject sees: progress events, then exactly one terminal."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter

from contracts.errors import Code
from contracts.identifiers import DEFAULT_TENANT, Token
from contracts.message import Message, Value
from contracts.queries import RetrievedPassage


class Citation(Value):
    """Where a sentence of the answer comes from.

    `quote == extracted_text[start:end]` of that document, exactly. `n` is the number shown in the answer as `[n]`.
    """

    n: int = Field(ge=1)
    chunk_id: str
    document_id: Token
    generation: Token
    name: str
    page: int | None = None
    heading: str | None = None
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    quote: str


class Usage(Value):
    """Tokens read and written, as the generator counts them."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class _OfQuery(Message):
    tenant: Token = DEFAULT_TENANT
    query_id: Token


class Retrieved(_OfQuery):
    """The passages found, best first. `id` is `0.1`: a repeat says the same again."""

    VERSION: ClassVar[int] = 2

    schema_version: int = Field(default=2, ge=1)
    kind: Literal["retrieved"] = "retrieved"
    id: str = "0.1"
    searched_for: str | None = None
    """What was searched for, where that is not the question itself: one of a conversation is put in full."""
    passages: tuple[RetrievedPassage, ...]
    timings_ms: dict[str, float] = Field(default_factory=dict)


class Delta(_OfQuery):
    """The next piece of the answer. `id` is `<attempt>.<n>`; a higher attempt makes those of lower ones void."""

    kind: Literal["delta"] = "delta"
    id: str = Field(pattern=r"^\d+\.\d+$")
    text: str


class Completed(_OfQuery):
    """The query ended well. Overrides all deltas: `answer` is whole; None where only a search was asked for."""

    VERSION: ClassVar[int] = 2

    schema_version: int = Field(default=2, ge=1)
    kind: Literal["completed"] = "completed"
    answer: str | None = None
    answered: bool = True
    """False when the documents hold no answer; `answer` then says so."""
    citations: tuple[Citation, ...] = ()
    model: str | None = None
    """Who answered: the name of a model, or of the generator that needs none."""
    prompt_version: str | None = None
    """The prompt template of the answer; None where no model was prompted."""
    finish_reason: str | None = None
    """`stop`, or `length` where the answer was cut at the most tokens it may have, or `content_filter`."""
    cached: bool = False
    """Whether the answer had been given before and was taken from the cache."""
    usage: Usage = Field(default_factory=Usage)
    timings_ms: dict[str, float] = Field(default_factory=dict)


class Failed(_OfQuery):
    """The query ended badly; `retryable` says whether asking again may help."""

    kind: Literal["failed"] = "failed"
    code: Code
    message: str
    retryable: bool


class Cancelled(_OfQuery):
    """Somebody withdrew the query; `principal` says who."""

    kind: Literal["cancelled"] = "cancelled"


AnswerEvent = Annotated[Retrieved | Delta, Field(discriminator="kind")]
Terminal = Annotated[Completed | Failed | Cancelled, Field(discriminator="kind")]

ANSWER_EVENT: TypeAdapter[Retrieved | Delta] = TypeAdapter(AnswerEvent)
TERMINAL: TypeAdapter[Completed | Failed | Cancelled] = TypeAdapter(Terminal)
