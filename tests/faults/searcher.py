"""A searcher that never rests: it looks at single documents and checks that it sees one whole version of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.faults.client import Client
from tests.faults.documents import PARTS, QUESTION, parts_in
from tests.faults.verdict import Verdict

PAUSE_S = 0.05
DEADLINE_S = 15.0
ALL_PARTS = frozenset(range(PARTS))


@dataclass
class Searcher:
    """`watch` documents that are visible already; `forget` them before they may vanish."""

    client: Client
    seed: random.Random
    verdict: Verdict = field(default_factory=Verdict)
    _newest: dict[str, int] = field(default_factory=dict)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def watch(self, document_id: str) -> None:
        self._newest.setdefault(document_id, 0)

    def forget(self, document_id: str) -> None:
        self._newest.pop(document_id, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_S)
            async with self._looking:
                if self._newest:
                    await self.look(self.seed.choice(sorted(self._newest)))

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """No search is under way in the body."""
        async with self._looking:
            yield

    async def look(self, document_id: str) -> None:
        """Search one document and judge what is seen. A search that failed says nothing."""
        newest = self._newest[document_id]
        reply = await self.client.ask(QUESTION, deadline_s=DEADLINE_S, generate=False, documents=(document_id,))
        if not reply.ok or document_id not in self._newest:
            return
        self.verdict.searches += 1
        passages = reply.body["passages"]
        generations = {passage["generation"] for passage in passages}
        parts = parts_in(passage["text"] for passage in passages)
        versions = {part.version for part in parts}
        if len(generations) > 1 or len(versions) > 1:
            self.verdict.note("mixtures", f"{document_id} in versions {sorted(versions)} at once")
        elif {part.number for part in parts} != ALL_PARTS:
            self.verdict.note("gaps", f"{document_id}: {len(parts)} of {PARTS} parts seen")
        elif (version := min(versions)) < newest:
            self.verdict.note("mixtures", f"{document_id}: version {version} after {newest} was seen")
        else:
            self._newest[document_id] = version
