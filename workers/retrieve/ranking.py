"""From candidates to the passages that are returned, best first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts.queries import RetrievedPassage, SearchMode, SentenceScore
from contracts.settings import Fusion
from workers.encoding.base import Vector
from workers.indexing.base import Candidate
from workers.retrieve.fusion import fuse, with_documents
from workers.retrieve.relevance import Relevance, Scores, relevance


def rank(
    question: str,
    vector: Vector | None,
    candidates: Sequence[Candidate],
    *,
    mode: SearchMode,
    served: float,
    method: Fusion,
    top_k: int,
) -> list[RetrievedPassage]:
    """The best `top_k` of `candidates`, in an order that depends on nothing but their content.

    A text that was there before, in a copy of a document, comes after all others: it says nothing new.
    """
    judged = relevance(question, vector, candidates)
    scores = _scores(judged, candidates, mode=mode, served=served, method=method)
    order = sorted(
        range(len(candidates)), key=lambda i: (-scores[i], candidates[i].document_id, candidates[i].chunk_id)
    )
    return [
        _passage(candidates[i], float(scores[i]), judged.sentences[i]) for i in _repeats_last(order, candidates)[:top_k]
    ]


def distinct(passages: Sequence[RetrievedPassage], most: int) -> int:
    """How many of the first `most` passages come before the first text that was there before."""
    seen = set[str]()
    for number, passage in enumerate(passages[:most]):
        if passage.text in seen:
            return number
        seen.add(passage.text)
    return min(most, len(passages))


def reordered(passages: Sequence[RetrievedPassage], scores: Scores) -> list[RetrievedPassage]:
    """`passages` by `scores`, the highest first; equal ones stay in their order.

    The scores of the places stay where they are: what a reranker calls a score differs from model to model, while clients
    and generators rely on one scale, on which those further down have theirs.
    """
    order = np.argsort(-scores, kind="stable")
    return [passages[i].model_copy(update={"score": place.score}) for i, place in zip(order, passages, strict=True)]


def _repeats_last(order: Sequence[int], candidates: Sequence[Candidate]) -> list[int]:
    seen = set[str]()
    first, repeats = list[int](), list[int]()
    for position in order:
        text = candidates[position].text
        (repeats if text in seen else first).append(position)
        seen.add(text)
    return first + repeats


def _scores(
    judged: Relevance, candidates: Sequence[Candidate], *, mode: SearchMode, served: float, method: Fusion
) -> Scores:
    if mode is SearchMode.VECTOR:
        return judged.keyword if judged.vector is None else judged.vector
    vector = judged.vector if mode is SearchMode.HYBRID else None
    fused = fuse(judged.keyword, vector, served=served, method=method)
    return with_documents(fused, [candidate.document_id for candidate in candidates])


def _passage(candidate: Candidate, score: float, similarities: Vector) -> RetrievedPassage:
    known: list[float | None] = [float(np.clip(s, -1.0, 1.0)) for s in similarities]
    known = known or [None] * len(candidate.sentences)
    return RetrievedPassage(
        chunk_id=candidate.chunk_id,
        document_id=candidate.document_id,
        generation=candidate.generation,
        name=candidate.name,
        ordinal=candidate.ordinal,
        text=candidate.text,
        score=round(score, 6),
        start=candidate.start,
        end=candidate.end,
        page=candidate.page,
        heading=candidate.heading,
        metadata=candidate.metadata,
        sentences=tuple(
            SentenceScore(start=start, end=end, similarity=similarity)
            for (start, end), similarity in zip(candidate.sentences, known, strict=True)
        ),
    )
