"""What an evaluation looks at in the reply to a question."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Passage:
    document_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Cited:
    """A citation claims that `quote` is `[start, end)` of the document's extracted text."""

    document_id: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`passages`: best first. `answered` is False when the reply says that the documents hold no answer."""

    answer: str
    answered: bool
    passages: tuple[Passage, ...] = ()
    citations: tuple[Cited, ...] = ()
