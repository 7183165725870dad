"""Which precision to compute in, decided by measurement: reduced only where it is faster and says the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workers.encoding.base import Vector
from workers.encoding.token_model import TokenModel, Tokens, normalised

LEAST_COSINE = 0.999
"""Every sample must come out at least this close to float32."""
LEAST_SPEEDUP = 1.2
"""Less than this is within the noise of the measurement, and float32 is the reference."""

HOPELESS_SPEEDUP = 0.4
"""A candidate below this on one text is emulated: no noise of a busy host explains it over `FIRST_ROUNDS`."""
FIRST_ROUNDS = 3
ROUNDS = 5
"""How often the whole sample is timed."""

SAMPLE = (
    "Honey bees tell each other where food is by dancing on the comb; the angle of the dance gives the direction.",
    "A message that cannot be delivered after ten attempts is moved to the dead letters with the reason of its failure.",
    "The committee approved the budget for 2024, subject to a review of travel expenses above 1,500 euros.",
    "Mix flour, water and salt, let the dough rest for twelve hours at room temperature, then bake it at 240 degrees.",
    "def mean(values): return sum(values) / len(values)  # fails on an empty list",
    "Patients with a prior infection showed lower antibody titres six months after the second dose (p < 0.05).",
    "蜜蜂通过舞蹈告诉同伴食物的方向和距离。",
    "Wo die Brücke über den Fluss führt, teilt sich die Straße nach Norden und Westen.",
)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """`cosine`: the least over the samples. `speedup`: time of the reference divided by the candidate's."""

    cosine: float
    speedup: float

    @property
    def worthwhile(self) -> bool:
        return self.cosine >= LEAST_COSINE and self.speedup >= LEAST_SPEEDUP


def measure(
    reference: TokenModel, candidate: TokenModel, *, clock: Callable[[], float] = time.perf_counter
) -> Measurement:
    """Encode `SAMPLE` with both in turns, after one warm-up each, and compare the shortest times.

    While a stack starts, every core is wanted by several processes: a single time says little, the shortest one what the
    model needs when it is left alone. A candidate that is far slower on the first text is not tried on the others: where
    a CPU has to emulate the precision, that would take seconds.
    """
    first = _compare(reference, candidate, SAMPLE[:1], clock, rounds=FIRST_ROUNDS)
    return first if first.speedup < HOPELESS_SPEEDUP else _compare(reference, candidate, SAMPLE, clock, rounds=ROUNDS)


def _compare(
    reference: TokenModel,
    candidate: TokenModel,
    texts: Sequence[str],
    clock: Callable[[], float],
    *,
    rounds: int,
) -> Measurement:
    tokens = reference.tokenize(texts)
    expected, found = _vectors(reference, tokens), _vectors(candidate, tokens)
    times = [(_timed(reference, tokens, clock), _timed(candidate, tokens, clock)) for _ in range(rounds)]
    reference_s, candidate_s = (min(several) for several in zip(*times, strict=True))
    cosine = float((normalised(expected) * normalised(found)).sum(axis=1).min())
    return Measurement(cosine=cosine, speedup=reference_s / candidate_s)


def _vectors(model: TokenModel, tokens: Sequence[Tokens]) -> Vector:
    return np.stack([encoded.vector for encoded in model.forward(tokens)])


def _timed(model: TokenModel, tokens: Sequence[Tokens], clock: Callable[[], float]) -> float:
    started = clock()
    model.forward(tokens)
    return max(clock() - started, 1e-9)
