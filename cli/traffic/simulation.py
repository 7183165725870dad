"""Sends questions and uploads at a steady rate, whether or not the answers keep up (an open loop)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from cli.client import GatewayClient, GatewayError, UnreachableError
from cli.traffic.content import InventedDocument, invent
from cli.traffic.tally import Tally
from cli.uploading.patience import patiently

WARM_UP_DOCUMENTS = 5
READY_S = 120.0
POLL_S = 0.25
MOST_UNDER_WAY = 500
"""Above this a request is not sent and counted as `skipped`: the client would measure itself."""
_REFUSALS = frozenset({429, 503})


@dataclass(frozen=True, kw_only=True)
class Load:
    """`rate` requests a second for `duration_s`, of which `questions_share` (0 to 1) are questions."""

    rate: float
    duration_s: float
    questions_share: float
    deadline_s: float
    seed: int


@dataclass
class Simulation:
    """One run. `run_id` goes into the ids of its documents, which `clean_up` deletes."""

    client: GatewayClient
    load: Load
    run_id: str
    tally: Tally = field(default_factory=Tally)
    sent: int = 0
    _documents: list[InventedDocument] = field(default_factory=list)
    _known: list[InventedDocument] = field(default_factory=list)

    async def warm_up(self) -> None:
        """Have some documents ready to ask about. Raises `GatewayError` or `UnreachableError`."""
        for _ in range(WARM_UP_DOCUMENTS):
            document = self._next_document()
            try:
                await self.client.submit_text(document.text, name=document.name, document_id=document.document_id)
            except UnreachableError:
                self._documents.remove(document)  # nobody has it, and nobody would delete it
                raise
            if await self._await_ready(document):
                self._known.append(document)

    async def run(self) -> None:
        """Send everything, then wait for what is still under way."""
        chance = random.Random(self.load.seed)  # noqa: S311  (nothing secret)
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            under_way = set[asyncio.Task[None]]()
            for number in range(int(self.load.rate * self.load.duration_s)):
                await asyncio.sleep(began + number / self.load.rate - time.monotonic())
                is_question = bool(self._known) and chance.random() < self.load.questions_share
                self.sent += 1
                if len(under_way) >= MOST_UNDER_WAY:
                    self.tally.add("question" if is_question else "upload", "skipped", 0.0)
                    continue
                work = self._ask(chance.choice(self._known)) if is_question else self._upload()
                task = tasks.create_task(work)
                under_way.add(task)
                task.add_done_callback(under_way.discard)

    async def clean_up(self) -> None:
        """Delete the documents of this run."""
        for document in self._documents:
            await patiently(partial(self._delete, document))

    async def _ask(self, document: InventedDocument) -> None:
        await self._timed("question", lambda: self._answered(document))

    async def _upload(self) -> None:
        document = self._next_document()
        began = time.monotonic()
        if await self._timed("upload", lambda: self._accepted(document)):
            ready = await self._await_ready(document)
            self.tally.add("ready", "ok" if ready else "failed", time.monotonic() - began)
            if ready:
                self._known.append(document)

    async def _timed(self, kind: str, request: Callable[[], Awaitable[bool]]) -> bool:
        began = time.monotonic()
        try:
            outcome = "ok" if await request() else "failed"
        except GatewayError as error:
            outcome = "refused" if error.problem.status in _REFUSALS else error.problem.code or "failed"
        except UnreachableError:
            outcome = "unreachable"
        self.tally.add(kind, outcome, time.monotonic() - began)
        return outcome == "ok"

    async def _answered(self, document: InventedDocument) -> bool:
        answer = await self.client.query({"query": document.question, "cache": False}, deadline_s=self.load.deadline_s)
        return answer.status == "completed"

    async def _accepted(self, document: InventedDocument) -> bool:
        reply = await self.client.submit_text(document.text, name=document.name, document_id=document.document_id)
        return reply.problem is None

    async def _await_ready(self, document: InventedDocument) -> bool:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            state = await self._state(document)
            if state in {"ready", "failed"}:
                return state == "ready"
            await asyncio.sleep(POLL_S)
        return False

    async def _state(self, document: InventedDocument) -> str:
        try:
            return (await self.client.document(document.document_id)).state
        except (GatewayError, UnreachableError):  # not listed yet, or shedding load: looked at again
            return "unknown"

    async def _delete(self, document: InventedDocument) -> None:
        try:
            await self.client.delete_document(document.document_id)
        except GatewayError as error:
            if error.problem.status != 404:
                raise

    def _next_document(self) -> InventedDocument:
        document = invent(len(self._documents), run=self.run_id, seed=self.load.seed)
        self._documents.append(document)
        return document
