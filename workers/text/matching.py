"""Which terms of a question occur where, and how much that says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from workers.text.questions import FUNCTION_WORDS, content_terms
from workers.text.terms import fold, is_han, runs, stem

Found = frozenset[str]


class QuestionTerms:
    """The content terms of a question, ready to be looked for in many texts."""

    def __init__(self, question: str) -> None:
        self.terms: tuple[str, ...] = tuple(content_terms(question))
        self._han = frozenset(term for term in self.terms if is_han(term))
        self._words = frozenset(self.terms) - self._han
        self._sizes = _sizes(self.terms, self._han)

    def found_in(self, text: str) -> Found:
        """The terms that occur in `text`."""
        folded = fold(text)
        found = {term for term in self._han if term in folded}
        if self._words:
            found |= self._words & {stem(run) for run in runs(folded)}
        return frozenset(found)

    def share(self, found: Collection[str]) -> float:
        """The share, 0 to 1, of what the question is about that `found` is.

        A pair of ideographs counts twice, any other term once, function words only where there is nothing else.
        """
        total = sum(self._sizes.values())
        return sum(self._sizes[term] for term in found) / total if total else 0.0


def _sizes(terms: Collection[str], han: Collection[str]) -> dict[str, int]:
    sizes = {term: len(term) if term in han else int(term not in FUNCTION_WORDS) for term in terms}
    return sizes if any(sizes.values()) else dict.fromkeys(terms, 1)


def weights(terms: Collection[str], places: Sequence[Found]) -> dict[str, float]:
    """How telling each term is among `places`: the fewer of them have it, the more (the inverse document frequency of BM25)."""
    n = len(places)
    frequency = Counter(term for found in places for term in found)
    return {term: math.log(1.0 + (n - frequency[term] + 0.5) / (frequency[term] + 0.5)) for term in terms}


def coverage(found: Found, weight: Mapping[str, float]) -> float:
    """The share, 0 to 1, of the weight of all terms that `found` has."""
    total = sum(weight.values())
    return sum(weight[term] for term in found) / total if total else 0.0
