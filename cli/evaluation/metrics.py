"""The figures of an evaluation. Pure functions over questions and their replies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cli.evaluation.dataset import Question
from cli.evaluation.replies import Passage, Reply

LOOKED_AT = 5
"""How many passages are looked at for the answer."""

_MARKS = re.compile(r"\s*\[\d+\]")

Asked = Sequence[tuple[Question, Reply]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Shares from 0 to 1; None where nothing was asked that tells.

    `hit_at_1`: the first passage is of the right document. `hit_at_5`: one of the first five is. `passage_at_5`: one of
    the first five passages holds a wording of the answer. `answer_holds_span`: the answer does. `false_refusals`: said
    to have no answer, though there is one. `unanswerable_recognised`: said to have no answer, rightly.
    `citations_exact`: the quote is what the text has at its offsets.
    """

    questions: int
    unanswerable: int
    citations: int
    hit_at_1: float | None
    hit_at_5: float | None
    passage_at_5: float | None
    answer_holds_span: float | None
    false_refusals: float | None
    unanswerable_recognised: float | None
    citations_exact: float | None


def report(asked: Asked, unanswerable: Sequence[Reply], exact: Sequence[bool]) -> Report:
    """All figures. `exact` tells of each citation whether its quote was found at its offsets."""
    return Report(
        questions=len(asked),
        unanswerable=len(unanswerable),
        citations=len(exact),
        hit_at_1=_share(_finds_document(q, r.passages[:1]) for q, r in asked),
        hit_at_5=_share(_finds_document(q, r.passages[:LOOKED_AT]) for q, r in asked),
        passage_at_5=_share(any(holds(p.text, q.answers) for p in r.passages[:LOOKED_AT]) for q, r in asked),
        answer_holds_span=_share(r.answered and _says(r.answer, q.answers) for q, r in asked),
        false_refusals=_share(not r.answered for _, r in asked),
        unanswerable_recognised=_share(not r.answered for r in unanswerable),
        citations_exact=_share(exact),
    )


def holds(text: str, wordings: Iterable[str]) -> bool:
    """Whether `text` contains one of `wordings`, whatever their case and white space."""
    folded = _folded(text)
    return any(_folded(wording) in folded for wording in wordings)


def _says(answer: str, wordings: Sequence[str]) -> bool:
    """As it stands, too: documents have marks like `[7]` of their own, and an answer may quote them."""
    return holds(answer, wordings) or holds(without_marks(answer), wordings)


def without_marks(answer: str) -> str:
    """An answer without its citation marks `[n]`."""
    return _MARKS.sub("", answer)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _finds_document(question: Question, passages: Sequence[Passage]) -> bool:
    return any(passage.document_id == question.document_id for passage in passages)


def _share(outcomes: Iterable[bool]) -> float | None:
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else None
