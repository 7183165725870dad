"""The edge that turns a question and its passages into an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.answers import Citation, Usage
from contracts.queries import GenerationParameters, RetrievedPassage


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a generator answers from."""

    query: str
    passages: Sequence[RetrievedPassage]
    parameters: GenerationParameters
    encoder_serves_query: bool


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The next text of the answer, to be shown as it comes."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The whole answer; `text` is the concatenation of all pieces. Always the last item."""

    text: str
    answered: bool
    citations: tuple[Citation, ...]
    usage: Usage


class Generator(Protocol):
    """Yields pieces, then exactly one `Answer`. Raises `TransientError` while its backend is away."""

    def generate(self, prompt: Prompt) -> AsyncIterator[Piece | Answer]: ...

    async def look(self) -> None:
        """Have the least possible generated; raises what `generate` raises while the backend is away."""
        ...
