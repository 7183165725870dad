"""The work that brings processes to their fault points, seeded."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from contracts.documents import DocumentState
from contracts.identifiers import new_id
from messaging.broker import Broker
from tests.faults.books import Books
from tests.faults.client import Client, Reply
from tests.faults.documents import PARTS, QUESTION, Text, text_of
from tests.faults.exhaustion import exhausted_generation
from tests.faults.points import Work
from tests.faults.searcher import Searcher
from tests.support.waiting import until

VERSIONED = 6
"""Documents that are replaced over and over, under the eyes of the searcher."""
DONE_TIMEOUT_S = 60.0
EXPIRY_DEADLINE_S = 1.0


class Served(Protocol):
    """A stack that takes work."""

    @property
    def seed(self) -> random.Random: ...
    @property
    def broker(self) -> Broker: ...
    @property
    def client(self) -> Client: ...
    @property
    def books(self) -> Books: ...
    @property
    def searcher(self) -> Searcher: ...


@dataclass
class Workload:
    """Documents, replacements and questions for one stack. What it starts in the background it also waits for."""

    stack: Served
    documents: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    _asking: set[asyncio.Task[Reply]] = field(default_factory=set)
    _replies: Counter[str] = field(default_factory=Counter)
    """How what was handed in or asked in the background ended, since something was last waited for."""

    async def prepare(self, *, versioned: int = VERSIONED) -> None:
        """Documents that the searcher looks at from now on."""
        names = [f"versioned-{n}" for n in range(versioned)]
        for name in names:
            await self.replace(name)
        for name in names:
            await self.is_ready(name)
            self.stack.searcher.watch(name)

    def fresh(self, *, parts: int = PARTS) -> Text:
        """A document that was never there."""
        self.documents += 1
        return text_of(f"d{self.documents}-{new_id()[-6:]}", 1, self.stack.seed, parts=parts)

    async def submit(self) -> str:
        """A new document; returns its id."""
        text = self.fresh()
        await self.stack.client.submit_surely(text)
        return text.document_id

    async def replace(self, document_id: str | None = None) -> str:
        """The next version of a document, any by default."""
        name = document_id or self.stack.seed.choice(sorted(self.versions))
        self.versions[name] = self.versions.get(name, 0) + 1
        await self.stack.client.submit_surely(text_of(name, self.versions[name], self.stack.seed))
        return name

    def ask(self, *, deadline_s: float = 20.0, cache: bool = True) -> None:
        """A question whose answer is followed in the background."""
        self._own(self.stack.client.stream(QUESTION, deadline_s=deadline_s, cache=cache))

    async def answered(self) -> None:
        """Ask until there is an answer that somebody has worked for."""

        async def asked() -> bool:
            return (await self.stack.client.ask(QUESTION, cache=False)).ok

        await until(asked, timeout_s=DONE_TIMEOUT_S, what="a question is answered")

    async def served_after_s(self) -> float:
        """Try until a document is accepted and a search answered; how long that took."""
        begun = time.monotonic()

        async def served() -> bool:
            submitted, asked = await asyncio.gather(
                self.stack.client.submit(self.fresh()), self.stack.client.ask(QUESTION, generate=False)
            )
            return submitted.ok and asked.ok

        await until(served, timeout_s=DONE_TIMEOUT_S, what="a document is accepted and a search answered")
        return time.monotonic() - begun

    async def is_ready(self, document_id: str) -> None:
        async def ready() -> bool:
            shown = await self.stack.client.show(document_id)
            return shown is not None and shown["state"] == DocumentState.READY

        await until(ready, timeout_s=DONE_TIMEOUT_S, what=f"{document_id} is ready")

    @asynccontextmanager
    async def going_on(
        self, *, documents_every_s: float = 0.5, questions_every_s: float = 0.25, replacing: bool = False
    ) -> AsyncIterator[None]:
        """A steady load while the body runs: new documents, or such that are replaced over and over. What is refused is
        handed in no second time.
        """

        async def submitting() -> None:
            while True:
                if replacing:
                    await asyncio.gather(self.replace(), asyncio.sleep(documents_every_s))
                else:
                    self._own(self.stack.client.submit(self.fresh()))
                    await asyncio.sleep(documents_every_s)

        async def asking() -> None:
            while True:
                self.ask()
                await asyncio.sleep(questions_every_s)

        going = [asyncio.create_task(submitting()), asyncio.create_task(asking())]
        try:
            yield
        finally:
            for task in going:
                task.cancel()
            await asyncio.wait(going)
        for task in going:
            assert task.cancelled(), f"the load broke off: {task.exception()}"
        await self.finish()

    async def drive(
        self, work: Work, *, what: str, until_true: Callable[[], object], every_s: float, timeout_s: float
    ) -> None:
        """Bring work of a kind about, again and again, until something has happened."""
        deadline = time.monotonic() + timeout_s
        self._replies.clear()
        while not until_true():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what}: {work} did not bring it about within {timeout_s:g} s; replies meanwhile: {dict(self._replies)}"
                )
            await self._once(work)
            await _soon(until_true, every_s)

    async def finish(self) -> None:
        """Wait for the questions in the background."""
        if self._asking:
            await asyncio.wait(self._asking)

    async def _once(self, work: Work) -> None:
        match work:
            case Work.DOCUMENT:
                self._own(self.stack.client.submit(self.fresh()))
            case Work.REPLACEMENT:
                await self.replace()
            case Work.QUESTION:
                self.ask(cache=False)
            case Work.EXPIRY:
                self.ask(deadline_s=EXPIRY_DEADLINE_S, cache=False)
            case Work.EXHAUSTION:
                self.stack.books.questions.add(await exhausted_generation(self.stack.broker))

    def _own(self, doing: Awaitable[Reply]) -> None:
        task = asyncio.ensure_future(doing)
        self._asking.add(task)
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[Reply]) -> None:
        self._asking.discard(task)
        if not task.cancelled() and task.exception() is None:
            reply = task.result()
            self._replies[" ".join(filter(None, (str(reply.status), reply.body.get("end"))))] += 1


async def _soon(condition: Callable[[], object], timeout_s: float) -> None:
    """Wait for a condition, but not longer than this."""
    with suppress(AssertionError):
        await until(condition, timeout_s=timeout_s, what="not yet")
