"""Row 11: a slow index and far more than it can take."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from contracts import topology
from contracts.declarations import MiB
from contracts.topology import Topology
from messaging import furniture
from tests.faults.client import TOO_MANY, UNAVAILABLE
from tests.faults.documents import PARTS, QUESTION
from tests.faults.row import Outcome, Row, Trial
from tests.faults.scale import Scale
from tests.faults.stack import Stack, running
from tests.faults.usage import BROKER, Usage
from tests.faults.workload import Workload
from workers.indexing.lance import INDEX_CACHE_BYTES, METADATA_CACHE_BYTES

LOAD_S = 20.0
PRODUCTION_LOAD_S = 120.0
TIMES = 5
DOCUMENTS_EVERY_S = 0.5 / TIMES
QUESTIONS_EVERY_S = 0.25 / TIMES
DOCUMENT_PARTS = TIMES * PARTS
"""Of what the other rows have going on, five times as much; the documents are larger as well."""
DEADLINE_S = 4.0
PENDING_DOCUMENTS = 10
EMBED_BYTES = MiB // 2
"""Bounds that a load of seconds reaches, as one of days reaches those of production."""
REST_TIMEOUT_S = 120.0
RSS_TIMES = 1.5
RSS_MORE_MIB = 64.0
INDEX_MIB = (INDEX_CACHE_BYTES + METADATA_CACHE_BYTES) / MiB
"""What a process may keep of the index in memory, by its own bounds."""
INDEXED = ("embed-1", "retrieve-1")
BLOCK_MIB = 8
"""Of each stream the broker keeps the block that is written, and for a while those that are read."""
SHED = frozenset({TOO_MANY, UNAVAILABLE})
VERSIONED = 2


@dataclass(frozen=True, kw_only=True)
class Narrow(Scale):
    """With a short embed queue."""

    @property
    def table(self) -> Topology:
        table = super().table
        streams = (
            replace(stream, max_bytes=EMBED_BYTES) if stream.name == topology.EMBED.name else stream
            for stream in table.streams
        )
        return replace(table, streams=tuple(streams))

    @classmethod
    def of(cls, scale: Scale) -> Narrow:
        return cls(**{f.name: getattr(scale, f.name) for f in fields(scale)})


@dataclass
class Flood:
    """Hands in documents and questions without waiting for anything, and counts what they are answered."""

    stack: Stack
    work: Workload
    documents: Counter[int] = field(default_factory=Counter)
    questions: Counter[int | str] = field(default_factory=Counter)
    """By status; those that were accepted by how they ended."""

    @asynccontextmanager
    async def pouring(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as answers:
            pouring = [
                asyncio.create_task(self._pour(answers, self._submit, DOCUMENTS_EVERY_S)),
                asyncio.create_task(self._pour(answers, self._ask, QUESTIONS_EVERY_S)),
            ]
            try:
                yield
            finally:
                for task in pouring:
                    task.cancel()
                await asyncio.wait(pouring)

    async def _pour(
        self, answers: asyncio.TaskGroup, drop: Callable[[], Coroutine[Any, Any, None]], every_s: float
    ) -> None:
        while True:
            answers.create_task(drop())
            await asyncio.sleep(every_s)

    async def _submit(self) -> None:
        self.documents[(await self.stack.client.submit(self.work.fresh(parts=DOCUMENT_PARTS))).status] += 1

    async def _ask(self) -> None:
        reply = await self.stack.client.stream(QUESTION, deadline_s=DEADLINE_S)
        self.questions[reply.body["end"] if reply.ok else reply.status] += 1


class SlowIndex(Row):
    number = "11"
    name = "slow index"
    fault = "the index at a tenth of its speed; five times as many questions and documents, these five times as large"
    passes = "memory bounded; the gateway sheds with 429 or 503; all that was admitted ends well; lag returns to 0"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(
            seed=trial.seed,
            scale=Narrow.of(trial.scale),
            manners=dict.fromkeys(("embed", "retrieve"), ("slow_index",)),
            settings={"WAGGLE_MAX_PENDING_DOCUMENTS": str(PENDING_DOCUMENTS)},
        ) as stack:
            work, usage = Workload(stack), Usage(stack)
            await work.prepare(versioned=VERSIONED)
            flood = Flood(stack, work)
            async with usage.taken():
                async with flood.pouring():
                    await asyncio.sleep(PRODUCTION_LOAD_S if trial.scale.as_in_production else LOAD_S)
                trial.say(f"documents {dict(flood.documents)}, questions {dict(flood.questions)}")
                await self._to_rest(stack, trial, outcome)
            outcome.verdict = await stack.examine()
            _judge_answers(flood, outcome)
            _judge_memory(usage, outcome)
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    async def _to_rest(self, stack: Stack, trial: Trial, outcome: Outcome) -> None:
        begun = time.monotonic()
        rest = await stack.oracle.settled(REST_TIMEOUT_S)
        outcome.notes["lag 0 after s"] = round(time.monotonic() - begun, 1)
        trial.say(f"at rest after {time.monotonic() - begun:.1f} s")
        outcome.require(rest, f"not at rest {REST_TIMEOUT_S:g} s after the flood")


def _judge_answers(flood: Flood, outcome: Outcome) -> None:
    shed = sum(flood.documents[status] for status in SHED)
    outcome.require(shed, f"no document was refused: {dict(flood.documents)}")
    odd = set(flood.documents) - SHED - {202}
    outcome.require(not odd, f"documents were answered {dict(flood.documents)}")
    refused = {answer for answer in flood.questions if isinstance(answer, int)}
    outcome.require(refused <= SHED, f"questions were answered {dict(flood.questions)}")
    outcome.require(not outcome.verdict.failed, f"{outcome.verdict.failed} documents that were admitted failed")
    outcome.notes |= {"documents shed": shed, "questions shed": sum(flood.questions[status] for status in SHED)}
    outcome.notes |= {f"questions {end}": n for end, n in flood.questions.items() if isinstance(end, str)}


def _judge_memory(usage: Usage, outcome: Outcome) -> None:
    outcome.notes["messages stored more"] = usage.stored
    for name, samples in usage.samples.items():
        first, most = samples[0].rss_mib, max(use.rss_mib for use in samples)
        outcome.notes[f"{name} MiB at most"] = round(most)
        more = RSS_MORE_MIB + _caches_mib(name) + usage.index_mib(name)
        outcome.require(most <= RSS_TIMES * first + more, f"{name} grew from {first:.0f} to {most:.0f} MiB")


def _caches_mib(name: str) -> float:
    """What a process may keep in memory of what it has on the disk."""
    if name == BROKER:
        return BLOCK_MIB * len(furniture.every_stream(Topology()))
    return INDEX_MIB if name in INDEXED else 0.0
