"""How well a candidate answers a question, seen from each side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.encoding.base import Vector
from workers.indexing.base import Candidate
from workers.text.matching import QuestionTerms, coverage, weights

Scores = NDArray[np.float64]

BEST_SENTENCE = 0.75
"""How much the closest sentence counts in the vector side, the whole passage counting for the rest."""
COVERING_SENTENCE = 0.5
"""How much the sentence with most of the question's terms counts in the keyword side, BM25 counting for the rest."""


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """One entry per candidate. `keyword`: 0 to 1. `vector`: cosines, None when nothing was encoded.

    `sentences` holds the cosine of each sentence of each candidate (empty where there are no sentence vectors).
    """

    keyword: Scores
    vector: Scores | None
    sentences: tuple[Vector, ...]


def relevance(question: str, vector: Vector | None, candidates: Sequence[Candidate]) -> Relevance:
    """Judge `candidates`; `vector` is the question's, (d,) float32, L2-normalised, or None."""
    sentences = tuple(_similarities(candidate, vector) for candidate in candidates)
    return Relevance(
        keyword=_keyword(question, candidates),
        vector=None if vector is None else _vector(candidates, sentences),
        sentences=sentences,
    )


def _keyword(question: str, candidates: Sequence[Candidate]) -> Scores:
    """BM25 relative to the best, and how much of the question the best sentence of each candidate covers.

    BM25 sees a passage as a bag of words; that the words meet in one sentence is what tells an answer from a mention.
    Words are weighed by how few of the candidates have them.
    """
    bm25 = np.array([candidate.keyword_score or 0.0 for candidate in candidates])
    terms = QuestionTerms(question)
    by_sentence = [[terms.found_in(text) for text in _sentences(candidate)] for candidate in candidates]
    weight = weights(terms.terms, [frozenset().union(*found) for found in by_sentence])
    covered = np.array([max((coverage(found, weight) for found in places), default=0.0) for places in by_sentence])
    highest = bm25.max(initial=0.0)
    relative = bm25 / highest if highest > 0 else bm25
    return (1 - COVERING_SENTENCE) * relative + COVERING_SENTENCE * covered


def _vector(candidates: Sequence[Candidate], sentences: Sequence[Vector]) -> Scores:
    whole = np.array([candidate.similarity or 0.0 for candidate in candidates])
    closest = np.array([s.max() if len(s) else w for s, w in zip(sentences, whole, strict=True)])
    return BEST_SENTENCE * closest + (1 - BEST_SENTENCE) * whole


def _similarities(candidate: Candidate, vector: Vector | None) -> Vector:
    """Nothing where nothing is known: no question vector, or an encoder that did not encode sentences (rows of zeros)."""
    vectors = candidate.sentence_vectors
    if vector is None or len(vectors) != len(candidate.sentences) or not vectors.any():
        return np.zeros(0, dtype=np.float32)
    similarities: Vector = candidate.sentence_vectors @ vector
    return similarities


def _sentences(candidate: Candidate) -> list[str]:
    return [candidate.text[start:end] for start, end in candidate.sentences] or [candidate.text]
