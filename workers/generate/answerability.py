"""Judges whether the passages answer a question at all."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from statistics import median

from workers.generate.sentences import Sentence
from workers.text.matching import QuestionTerms
from workers.text.scripts import Script

MOST_CONTRAST = 0.4
"""How much it counts at most that the best document is ahead of others: a single document is ahead of nothing."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Shares of the question's terms, 0 to 1, that occur together somewhere.

    `sentence`, `document`, `anywhere`: in the best sentence, in all passages of the best document, in all passages.
    `contrast`: by how much the best passage has more than the best one of any other document.
    """

    sentence: float
    document: float
    anywhere: float
    contrast: float


@dataclass(frozen=True, kw_only=True)
class Model:
    """A logistic model: its bias, the weights of the fields of `Evidence`, and from where on there is an answer."""

    bias: float
    weights: tuple[float, float, float, float]
    threshold: float


MODELS: Mapping[Script, Model] = {
    Script.ALPHABETIC: Model(bias=-6.2, weights=(3.4, 2.4, 1.2, 4.4), threshold=0.28),
    Script.HAN: Model(bias=-8.7, weights=(1.1, 4.0, 6.3, 8.3), threshold=0.32),
}
"""Logistic regressions, classes weighed equally: 400 questions over long scientific English articles and 400 over Chinese
encyclopedia passages, each asked twice, the second time without the document that answers, and 100 more of each that
nothing answers. At these thresholds about 7 in 100 questions are refused wrongly, the same in cross-validation."""

SIMILAR = 0.65
"""From this cosine on a sentence is much like the question, ..."""
AHEAD = 0.25
"""... if it is so much above the median of all sentences."""


def is_answered(question: QuestionTerms, candidates: Sequence[Sentence], script: Script) -> bool:
    """Whether the sentences of the passages hold an answer: by their words, or because one is much like the question."""
    if not candidates or not question.terms:
        return False
    model = MODELS[script]
    return confidence(evidence(question, candidates), model) >= model.threshold or _stands_out(candidates)


def _stands_out(candidates: Sequence[Sentence]) -> bool:
    """A sentence may say in other words what is asked. Encoders that find everything similar show nothing here."""
    similarities = [sentence.similarity for sentence in candidates if sentence.similarity is not None]
    if not similarities:
        return False
    highest = max(similarities)
    return highest >= SIMILAR and highest - median(similarities) >= AHEAD


def confidence(found: Evidence, model: Model) -> float:
    """The modelled probability, 0 to 1, that there is an answer."""
    score = model.bias + sum(w * v for w, v in zip(model.weights, astuple(found), strict=True))
    return 1 / (1 + math.exp(-score))


def evidence(question: QuestionTerms, candidates: Sequence[Sentence]) -> Evidence:
    """What speaks for an answer. An ideograph pair counts twice a single one, every word once."""
    passages: defaultdict[str, set[str]] = defaultdict(set)
    documents: defaultdict[str, set[str]] = defaultdict(set)
    document_of: dict[str, str] = {}
    for sentence in candidates:
        passages[sentence.passage.chunk_id] |= sentence.found
        documents[sentence.source] |= sentence.found
        document_of[sentence.passage.chunk_id] = sentence.source
    return Evidence(
        sentence=max(question.share(sentence.found) for sentence in candidates),
        document=max(map(question.share, documents.values())),
        anywhere=question.share(set().union(*documents.values())),
        contrast=_contrast({key: question.share(found) for key, found in passages.items()}, document_of),
    )


def _contrast(shares: Mapping[str, float], document_of: Mapping[str, str]) -> float:
    best: defaultdict[str, float] = defaultdict(float)
    for chunk_id, share in shares.items():
        best[document_of[chunk_id]] = max(best[document_of[chunk_id]], share)
    first, second = _two_highest(best.values())
    return min(first - second, MOST_CONTRAST)


def _two_highest(values: Iterable[float]) -> tuple[float, float]:
    first, second = sorted([*values, 0.0, 0.0], reverse=True)[:2]
    return first, second
