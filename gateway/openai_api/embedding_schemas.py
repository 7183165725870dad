"""Embeddings as they travel: OpenAI's members as far as they mean something here, and ours under `waggle`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from contracts.encoding import MAX_CHARACTERS, EncodedText
from contracts.queries import MAX_DEADLINE_S
from gateway.openai_api.schemas import MODEL, Lenient
from gateway.schemas import Wire

MOST_INPUTS: Final = 2048
DEFAULT_DEADLINE_S: Final = 60.0
NO_TOKENS: Final = "tokens of another model mean nothing to this encoder: send the texts themselves (in LangChain: check_embedding_ctx_length=False)"


def _as_texts(given: Any) -> Any:
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list) and any(isinstance(each, int | list) for each in given):
        raise PydanticCustomError("tokens", "{sentence}", {"sentence": NO_TOKENS})
    return given


_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
Texts = Annotated[
    tuple[EncodedText, ...],
    Field(min_length=1, max_length=MOST_INPUTS),
    BeforeValidator(_as_texts),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_INPUTS}]}),
]
"""One text is as good as a list of one."""


class EmbeddingsExtension(Wire):
    """What OpenAI's API has no members for."""

    input_type: Literal["passage", "query"] = Field(
        default="passage", description="Whether the texts are what is found, or what is asked."
    )
    deadline_s: float = Field(default=DEFAULT_DEADLINE_S, gt=0, le=MAX_DEADLINE_S, allow_inf_nan=False)


class EmbeddingsBody(Lenient):
    """Texts to encode."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": MODEL, "input": ["Bees dance."]}]})

    model: str = Field(min_length=1, max_length=256)
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1, description="As many as the encoder gives, or nothing.")
    waggle: EmbeddingsExtension | None = None

    @property
    def extension(self) -> EmbeddingsExtension:
        return self.waggle or EmbeddingsExtension()


class Embedding(Wire):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Numbers, or the same as little-endian float32 in base64."""


class EmbeddingsUsage(Wire):
    prompt_tokens: int
    """0 where the encoder does not say."""
    total_tokens: int


class EmbeddingList(Wire):
    """The vectors of the texts, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
