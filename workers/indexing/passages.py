"""What is encoded for a chunk."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.documents import Span
from workers.encoding.base import Passage


def passage(text: str, *, heading: str | None, sentences: Sequence[Span]) -> Passage:
    """A chunk's text under its headings, which often name what the text is about. `sentences` are spans of the text."""
    if not heading:
        return Passage(text=text, sentences=tuple(sentences))
    above = f"{heading}\n"
    return Passage(
        text=above + text,
        sentences=tuple((start + len(above), end + len(above)) for start, end in sentences),
    )
