"""A question that was answered before against the same question asked anew, in turns."""

from __future__ import annotations

import itertools
import time

from benchmarks.client import Asker
from benchmarks.corpus import questions
from benchmarks.figures import Figure, against, percentile

ROUNDS = 200
WARM_UP_S = 30.0


async def measure(url: str) -> list[Figure]:
    """`answer_hit_p50` against a miss: even the default generator, which takes milliseconds, is worth not asking."""
    asked = questions("en")
    hits, misses = list[float](), list[float]()
    async with Asker.connected(url) as client:
        for question in asked:
            await _remembered(client, question)
        for question in itertools.islice(itertools.cycle(asked), ROUNDS):
            misses.append(await _took_ms(client, question, cached=False))
            hits.append(await _took_ms(client, question, cached=True))
    return [against("answer_hit_p50", percentile(hits, 0.5), percentile(misses, 0.5), unit="ms", bar="<= 0.5")]


async def _took_ms(client: Asker, question: str, *, cached: bool) -> float:
    begun = time.perf_counter()
    answer = await client.ask(question, cache=cached)
    took_ms = (time.perf_counter() - begun) * 1000
    if answer["cached"] is not cached:
        raise RuntimeError(f"{question!r} should{'' if cached else ' not'} have come from the cache")
    return took_ms


async def _remembered(client: Asker, question: str) -> None:
    """Ask until the answer is kept: a worker keeps nothing before it has heard who answers."""
    until = time.monotonic() + WARM_UP_S
    while not (await client.ask(question, cache=True))["cached"]:
        if time.monotonic() > until:
            raise RuntimeError(f"{question!r} is never kept")
