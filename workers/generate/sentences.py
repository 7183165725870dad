"""The sentences an answer is picked from, and how well each of them answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contracts.queries import RetrievedPassage, SentenceScore
from workers.generate.cues import bears_mark, wanted
from workers.text.matching import Found, QuestionTerms, coverage, weights

PASSAGE_SCORE = 1.0
SIMILARITY = 0.5
MARK = 0.15
"""What the passage's score, the sentence's similarity and the mark of the wanted kind weigh against the coverage of the
question's terms. Set by cross-validation; the result hardly changes between half and twice each of them."""


COPIED = 0.6
"""A passage of which so many characters, in whole sentences, stand in a better passage of another document is a copy."""


class Place(NamedTuple):
    """Where a sentence stands in the extracted text. Overlapping passages repeat sentences: those have one place."""

    document_id: str
    generation: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """`passage.text[start:end]`, the terms of the question found in it, and how well it answers.

    `similarity` is its cosine to the question, None where it is not known or means nothing. `source` is its document, or
    the one that its passage is a copy of.
    """

    passage: RetrievedPassage
    start: int
    end: int
    found: Found
    similarity: float | None
    score: float
    source: str

    @property
    def text(self) -> str:
        return self.passage.text[self.start : self.end]

    @property
    def place(self) -> Place:
        passage = self.passage
        return Place(passage.document_id, passage.generation, passage.start + self.start, passage.start + self.end)


def sentences(
    question: str, terms: QuestionTerms, passages: Sequence[RetrievedPassage], *, similarity_counts: bool
) -> list[Sentence]:
    """Every sentence of `passages`, scored, in their order.

    A sentence that answers often leaves out what the whole passage is about. Therefore terms count by how few sentences
    have them, of its own passage and of all passages, and what the passage is about counts through its score. What a copy
    of a better passage repeats is left out: documents come in copies and versions.
    """
    originals = Originals()
    sources, spans = zip(*(originals.of(passage) for passage in passages), strict=True) if passages else ((), ())
    found = [
        [terms.found_in(passage.text[s.start : s.end]) for s in of_passage]
        for passage, of_passage in zip(passages, spans, strict=True)
    ]
    overall = weights(terms.terms, [place for places in found for place in places])
    kind = wanted(question)
    scored = []
    for passage, source, of_passage, places in zip(passages, sources, spans, found, strict=True):
        local = weights(terms.terms, places)
        for span, place in zip(of_passage, places, strict=True):
            score = (coverage(place, overall) + coverage(place, local)) / 2 + PASSAGE_SCORE * passage.score
            score += MARK * bears_mark(passage.text[span.start : span.end], kind)
            similarity = span.similarity if similarity_counts else None
            score += SIMILARITY * (similarity or 0.0)
            scored.append(
                Sentence(
                    passage=passage,
                    start=span.start,
                    end=span.end,
                    found=place,
                    similarity=similarity,
                    score=score,
                    source=source,
                )
            )
    return scored


class Originals:
    """Tells copies of passages from originals; asked for one passage after the other, best first."""

    def __init__(self) -> None:
        self._first_in: dict[str, str] = {}

    def of(self, passage: RetrievedPassage) -> tuple[str, list[SentenceScore]]:
        """The document that a passage originally is of, and its sentences; a copy's without those of its original."""
        spans = _spans(passage)
        said = [" ".join(passage.text[span.start : span.end].casefold().split()) for span in spans]
        origins = [self._first_in.setdefault(text, passage.document_id) for text in said]
        copied = Counter[str]()
        for text, origin in zip(said, origins, strict=True):
            copied[origin] += len(text) * (origin != passage.document_id)
        source, characters = copied.most_common(1)[0] if copied else (passage.document_id, 0)
        if not characters or characters < COPIED * sum(map(len, said)):
            return passage.document_id, list(spans)
        return source, [span for span, origin in zip(spans, origins, strict=True) if origin == passage.document_id]


def _spans(passage: RetrievedPassage) -> Sequence[SentenceScore]:
    return passage.sentences or (SentenceScore(start=0, end=len(passage.text)),)
