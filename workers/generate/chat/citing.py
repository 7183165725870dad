"""What the markers of an answer point at: of each passage the sentence that says what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from contracts.answers import Citation
from contracts.queries import RetrievedPassage, SentenceScore
from workers.generate.citations import cite
from workers.text.matching import QuestionTerms

SUPPORT = 0.5
"""A statement without a marker is supported by a sentence that has at least this share of what it is about."""
MOST_SUPPORTS = 3

_MARKER = re.compile(r"\[(\d{1,4})\]")
_CODE = re.compile(r"(?:^|\n) *```[^`\n]*\n.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_END = re.compile(r"(?:[.!?](?=[\s\[]|$)|[。！？]|\n)+(?:\s*\[\d{1,4}\])*")


def citations(text: str, passages: Sequence[RetrievedPassage]) -> tuple[Citation, ...]:
    """One citation for each passage that `text` names, in the order in which they are first named.

    It quotes the sentence of the passage that has most of what the statement with the marker is about, or the whole
    passage if none has any of it. Brackets in code name nothing, nor do numbers that no passage has.
    """
    found: dict[int, Citation] = {}
    for statement in _statements(_CODE.sub(_without_markers, text)):
        terms = QuestionTerms(_MARKER.sub(" ", statement))
        for number in map(int, _MARKER.findall(statement)):
            if number not in found and 1 <= number <= len(passages):
                passage = passages[number - 1]
                best, share = _best_sentence(terms, passage)
                span = best if share > 0 else SentenceScore(start=0, end=len(passage.text))
                found[number] = cite(number, passage, span.start, span.end)
    return tuple(found.values())


def supports(text: str, passages: Sequence[RetrievedPassage]) -> list[int]:
    """The numbers of up to `MOST_SUPPORTS` passages that say what a text without markers says; best first per statement."""
    numbers: dict[int, None] = {}
    for statement in _statements(text):
        terms = QuestionTerms(statement)
        shares = [_best_sentence(terms, passage)[1] for passage in passages]
        best = max(shares, default=0.0)
        if best >= SUPPORT:
            numbers.setdefault(shares.index(best) + 1)
    return list(numbers)[:MOST_SUPPORTS]


def _best_sentence(terms: QuestionTerms, passage: RetrievedPassage) -> tuple[SentenceScore, float]:
    spans = passage.sentences or (SentenceScore(start=0, end=len(passage.text)),)
    shares = [terms.share(terms.found_in(passage.text[span.start : span.end])) for span in spans]
    best = max(shares)
    return spans[shares.index(best)], best


def _without_markers(code: re.Match[str]) -> str:
    return code.group().replace("[", " ")


def _statements(text: str) -> Iterator[str]:
    """The sentences of an answer, each with the markers that follow it."""
    begin = 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        if statement := text[begin:end].strip():
            yield statement
        begin = end
