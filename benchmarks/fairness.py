"""One tenant hands in documents in bulk while another one asks: what its questions wait for, and what they cost the bulk."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop

from benchmarks.client import Asker, submit, wait_ready
from benchmarks.corpus import Text, copies, passages, questions, sample_texts
from benchmarks.figures import Figure, against, percentile
from benchmarks.stack import RunningStack, running

ROUNDS = 3
ASKED = 60
"""Questions of a round while nothing else is done."""
COPIES = 4
"""Of the sample documents, handed in at once: some 20 s of work."""


def measure() -> list[Figure]:
    """On a stack as it comes, with keys, in rounds: questions alone, documents alone, both."""
    with running(settings={"WAGGLE_AUTH": "keys"}) as stack:
        neighbours = Neighbours(stack, asking=stack.key("few"), handing_in=stack.key("bulk"))
        neighbours.prepare()
        return uvloop.run(neighbours.measure())


@dataclass
class Neighbours:
    """Two tenants, by their keys."""

    stack: RunningStack
    asking: str = field(repr=False)
    handing_in: str = field(repr=False)

    def prepare(self) -> None:
        """Give the one who asks something to ask about, and load what is loaded once."""
        texts = sample_texts()
        submit(self.stack.url, texts, key=self.asking)
        wait_ready(self.stack.url, [text.document_id for text in texts], key=self.asking)
        self._hand_in(list(copies(texts[:2], run="warm", times=1)))

    async def measure(self) -> list[Figure]:
        asked = itertools.cycle(questions("en"))
        texts = sample_texts()
        alone_ms, beside_ms, alone_s, beside_s = list[float](), list[float](), 0.0, 0.0
        async with Asker.connected(self.stack.url, key=self.asking) as asker:
            for n in range(ROUNDS):
                alone_ms += [await _took_ms(asker, asked) for _ in range(ASKED)]
                alone_s += await asyncio.to_thread(self._hand_in, list(copies(texts, run=f"alone{n}", times=COPIES)))
                bulk = asyncio.create_task(
                    asyncio.to_thread(self._hand_in, list(copies(texts, run=f"beside{n}", times=COPIES)))
                )
                while not bulk.done():
                    beside_ms.append(await _took_ms(asker, asked))
                beside_s += await bulk
        passages_each = ROUNDS * COPIES * len(passages(texts))
        return [
            against("fairness_question_p50", percentile(beside_ms, 0.5), percentile(alone_ms, 0.5), unit="ms"),
            against(
                "fairness_question_p95", percentile(beside_ms, 0.95), percentile(alone_ms, 0.95), unit="ms", bar="<= 4"
            ),
            Figure(name="fairness_questions_beside_bulk", value=len(beside_ms) / beside_s, unit="1/s"),
            against("fairness_bulk_rate", passages_each / beside_s, passages_each / alone_s, unit="passages/s"),
        ]

    def _hand_in(self, texts: list[Text]) -> float:
        """Seconds until all are ready."""
        started = time.perf_counter()
        submit(self.stack.url, texts, key=self.handing_in)
        wait_ready(self.stack.url, [text.document_id for text in texts], key=self.handing_in)
        return time.perf_counter() - started


async def _took_ms(asker: Asker, asked: Iterator[str]) -> float:
    started = time.perf_counter()
    await asker.ask(next(asked))
    return (time.perf_counter() - started) * 1000
