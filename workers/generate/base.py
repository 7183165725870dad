"""The edge that turns a question and its passages into an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from opentelemetry.metrics import Meter

from contracts.answers import Citation, Usage
from contracts.queries import GenerationParameters, RetrievedPassage, Turn
from contracts.runtime_config import RuntimeConfig
from messaging.endpoints import DrainableEndpoints


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a generator answers from.

    `query` is the question as it was asked, after `messages` if there are any; `standalone` is the same put in full.
    """

    query: str
    passages: Sequence[RetrievedPassage]
    parameters: GenerationParameters
    encoder_serves_query: bool
    messages: Sequence[Turn] = ()
    standalone: str | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The next text of the answer, to be shown as it comes."""

    text: str


class Removed(StrEnum):
    """What is kept from the readers of an answer."""

    LINK = "link"
    """One that stands in no passage that the answer cites, or the address of an image."""
    MARKUP = "markup"
    """An HTML tag that does something."""
    INVISIBLE = "invisible"
    """A character that no reader sees."""
    PROMPT = "prompt"
    """What the model was told, and all that came after it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The whole answer; `text` is the concatenation of all pieces. Always the last item.

    `removed_markers`: how many citation markers named no passage and were taken out; `removed`: how much else was, and why.
    """

    text: str
    answered: bool
    citations: tuple[Citation, ...]
    usage: Usage
    finish_reason: str = "stop"
    removed_markers: int = 0
    removed: Mapping[Removed, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GeneratorIdentity:
    """Who answers: the name of the model, and the version of what it is told (None if it is told nothing).

    `parameters` are the settings by which it answers where a question asks for nothing else.
    """

    model: str
    prompt_version: str | None = None
    parameters: str = ""


class AnsweringEndpoints(DrainableEndpoints, Protocol):
    """Endpoints with reserves, which may change places with them."""

    def prefer(self, *, standbys: bool) -> None:
        """Ask the reserves first from now on, or, as at first, the others."""
        ...


class Generator(Protocol):
    """Yields pieces, then exactly one `Answer`. Raises `TransientError` while its backend is away.

    Closing the iterator of `generate` stops the work.
    """

    @property
    def identity(self) -> GeneratorIdentity:
        """Known once it is started."""
        ...

    @property
    def endpoints(self) -> AnsweringEndpoints | None:
        """What its requests are spread over; None if it asks nobody. Known before it is started."""
        ...

    def adjust(self, config: RuntimeConfig) -> None:
        """Answer by what is set there from the next question on, and else as it was built; `identity` tells so at once."""
        ...

    async def start(self, meter: Meter) -> None:
        """Get ready. Raises `PermanentError` for wrong settings."""
        ...

    async def run(self) -> None:
        """Look after what is needed, until cancelled. Raises when this process cannot go on."""
        ...

    def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]: ...

    async def condense(self, query: str, turns: Sequence[Turn]) -> str | None:
        """The last question of a conversation put so that it stands alone; None if this generator has no model for it.

        Raises what `generate` raises.
        """
        ...

    async def look(self) -> None:
        """Have the least possible generated; raises what `generate` raises while the backend is away."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...
