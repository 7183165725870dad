"""Row 8: everything twice."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.faults.documents import PARTS, QUESTION, Text, text_of
from tests.faults.index_rows import read_rows
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import PROCESSES, Stack, running
from tests.faults.worker import GATEWAY
from tests.faults.workload import Workload

DOCUMENTS = 12
QUESTIONS = 10
UPLOADS = 3


class Twice(Row):
    number = "8"
    name = "everything twice"
    fault = "every message is delivered twice, every upload repeated three times"
    passes = "the index is the same as after a single run; every query one end"

    async def run(self, trial: Trial) -> Outcome:
        outcome, seed = Outcome(), trial.random(self.name)
        texts = [text_of(f"same-{n}", 1, seed, parts=seed.randint(3, PARTS)) for n in range(DOCUMENTS)]
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            await self._ingest(stack, [_renamed(text, "single") for text in texts], times=1)
            outcome.verdict = await stack.examine()
            await self._change_manners(stack)
            await self._ingest(stack, [_renamed(text, "double") for text in texts], times=UPLOADS)
            for _ in range(QUESTIONS):
                reply = await stack.client.ask(QUESTION, generate=seed.choice((True, False)))
                outcome.require(reply.ok, f"a question delivered twice was answered {reply.status}: {reply.body}")
            outcome.verdict = outcome.verdict.then(await stack.examine())
            repeated = [attempt for _, _, attempt in stack.deliveries() if attempt > 1]
            outcome.require(len(repeated) >= DOCUMENTS, "messages were not delivered twice")
            found = (await read_rows(stack.index)).texts
            for text in texts:
                single, double = (found.get(_renamed(text, run).document_id) for run in ("single", "double"))
                outcome.require(single and single == double, f"{text.document_id} differs from the single run")
        return outcome

    async def _ingest(self, stack: Stack, texts: list[Text], *, times: int) -> None:
        work = Workload(stack)
        for text in random.Random(0).sample(texts * times, len(texts) * times):
            await stack.client.submit_surely(text)
        for text in texts:
            await work.is_ready(text.document_id)

    async def _change_manners(self, stack: Stack) -> None:
        names = [name for name in PROCESSES if name != GATEWAY]
        for name in names:
            await stack.fleet.stop(name)
        stack.manners = {PROCESSES[name]: ("deliver_twice",) for name in names}
        await stack.start(*names)


def _renamed(text: Text, run: str) -> Text:
    return replace(text, document_id=f"{run}-{text.document_id}")
