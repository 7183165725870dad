"""Chat completions as they travel: OpenAI's members as far as they mean something here, and ours under `waggle`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.queries import DEFAULT_DEADLINE_S, MAX_DEADLINE_S, MAX_TOP_K, Filters, SearchMode
from gateway.query_schemas import CitationView
from gateway.schemas import Wire

MODEL = "waggle"
MOST_MESSAGES = 1000
MOST_PARTS = 100


class Lenient(BaseModel):
    """Members that are not known are left aside: clients send what their other servers take."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TextPart(Lenient):
    type: Literal["text"]
    text: str


class ChatMessage(Lenient):
    """What the system or a developer says is not used: answers follow the documents and their template."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[tuple[TextPart, ...], Field(max_length=MOST_PARTS)] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, tuple):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Lenient):
    include_usage: bool | None = None


class Extension(Wire):
    """What OpenAI's API has no members for."""

    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K, description="How many passages.")
    mode: SearchMode = SearchMode.HYBRID
    filters: Filters = Field(default_factory=Filters)
    deadline_s: float = Field(default=DEFAULT_DEADLINE_S, gt=0, le=MAX_DEADLINE_S, allow_inf_nan=False)
    cache: bool = True
    sources: bool = Field(default=True, description="Whether the sources are listed at the end of the text, too.")


class ChatBody(Lenient):
    """The last message is the question; those before it are what was said before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": MODEL, "messages": [{"role": "user", "content": "How do bees dance?"}]}]
        }
    )

    model: str = Field(max_length=256)
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=32768)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=32768)
    stop: str | Annotated[tuple[str, ...], Field(max_length=8)] | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    tools: Annotated[tuple[Any, ...], Field(max_length=0)] | None = None
    logprobs: Literal[False] | None = None
    waggle: Extension | None = None

    @property
    def extension(self) -> Extension:
        return self.waggle or Extension()


class Told(Wire):
    """What the answer rests on, and how it came about."""

    query_id: str
    answered: bool
    """False when the documents hold no answer."""
    citations: list[CitationView]
    answer: str | None = None
    """The answer as it counts, where the text that was streamed is another: what is sent cannot be taken back."""
    model: str | None = None
    prompt_version: str | None = None
    cached: bool = False
    timings_ms: dict[str, float]


class CompletionUsage(Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(Wire):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Wire):
    index: Literal[0] = 0
    message: AssistantMessage
    finish_reason: str
    logprobs: None = None


class ChatCompletion(Wire):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    waggle: Told


class ModelView(Wire):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "waggle"


class ModelList(Wire):
    object: Literal["list"] = "list"
    data: list[ModelView]
