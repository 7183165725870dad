"""How sure a finding is, worked out from its evidence: the mean of how clear its signs are, lessened by what is missing."""

from __future__ import annotations

from typing import Final

AT_THRESHOLD: Final = 0.5
"""A sign that has just reached its threshold is as likely as not."""
MISSING: Final = 0.7
"""What is left of confidence for each part of the evidence that should be there and is not."""


def strength(value: float, *, threshold: float, certain: float) -> float:
    """0.5 at the threshold, 1 at `certain` and beyond, on a line between; less than 0.5 before it. `certain` may lie below."""
    share = (value - threshold) / (certain - threshold)
    return min(1.0, max(0.0, AT_THRESHOLD + (1 - AT_THRESHOLD) * share))


def support(count: float, *, half: float) -> float:
    """How much `count` observations are worth: nothing without any, a half at `half` of them, 1 with very many."""
    return max(0.0, count) / (max(0.0, count) + half)


def any_of(*weights: float) -> float:
    """How sure a thing is of which several signs, independent of each other, tell with these weights (noisy or)."""
    doubt = 1.0
    for weight in weights:
        doubt *= 1.0 - weight
    return 1.0 - doubt


def mean(*strengths: float) -> float:
    return sum(strengths) / len(strengths)
