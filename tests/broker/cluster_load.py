"""The whole pipeline on a cluster, people who use it, and what became of all they were promised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from contracts.documents import DocumentState
from contracts.errors import TransientError
from contracts.identifiers import new_id
from contracts.queries import QueryRequest
from contracts.settings import EmbedSettings, GenerateSettings, IngestSettings, KeeperSettings, RetrieveSettings
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.terminals import Terminals
from tests.support.gateways import Gateway, running_gateway
from tests.support.indexes import opened_index
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.indexing.rows import EMBEDDER
from workers.embed.worker import build as embed
from workers.generate.worker import build as generate
from workers.indexing.base import VectorIndex
from workers.ingest.worker import build as ingest
from workers.keeper.worker import build as keeper
from workers.retrieve.worker import build as retrieve

TENANT = "default"
PAUSE_S = 0.25
QUESTION_BUDGET_S = 30.0


@asynccontextmanager
async def pipeline(url: str, directory: Path, table: Topology) -> AsyncIterator[Gateway]:
    """A gateway and one worker of each kind, all in this process."""
    common: dict[str, Any] = {
        "nats_url": url,
        "encoder": "simulated",
        "encoder_simulated_ms": 1,
        "data_dir": directory,
        "index_path": directory / "index",
        "publish_timeout_s": 2,
    }
    apps = (
        ingest(IngestSettings(**common, instance="ingest"), table=table),
        embed(EmbedSettings(**common, instance="embed"), embedder=lambda: EMBEDDER, table=table),
        retrieve(RetrieveSettings(**common, instance="retrieve"), embedder=lambda: EMBEDDER, table=table),
        generate(GenerateSettings(**common, instance="generate"), table=table),
        keeper(KeeperSettings(**common, instance="keeper"), table=table),
    )
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(running(app))
        gateway = await stack.enter_async_context(running_gateway(url))
        await gateway.ready()
        yield gateway


def opened(directory: Path) -> AbstractAsyncContextManager[VectorIndex]:
    return opened_index(EmbedSettings(index_path=directory / "index", data_dir=directory), EMBEDDER)


@dataclass
class People:
    """Submit and ask without end; remember what was accepted. What is refused they ask for again."""

    gateway: Gateway
    broker: Broker
    documents: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._submit())
            tasks.create_task(self._ask())
            try:
                yield
            finally:
                self._leaving.set()

    async def are_busy(self) -> None:
        """Wait until five more of each were accepted."""
        documents, questions = len(self.documents) + 5, len(self.questions) + 5
        await until(
            lambda: len(self.documents) >= documents and len(self.questions) >= questions,
            timeout_s=30,
            what="people are busy",
        )

    async def _submit(self) -> None:
        while not self._leaving.is_set():
            document_id = new_id()
            body = {"document_id": document_id, "name": "hive.txt", "text": f"Hive {document_id} holds honey."}
            while not self._leaving.is_set():
                status = (await self.gateway.http.post("/v1/documents", json=body)).status_code
                if status in (200, 202):
                    self.documents.append(document_id)
                    break
                if status not in (429, 503):
                    self.unexpected.append(f"document: {status}")
                    break
                await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(PAUSE_S)

    async def _ask(self) -> None:
        queries = Queries(self.broker)
        while not self._leaving.is_set():
            request = QueryRequest(tenant=TENANT, query_id=new_id(), query="What does the hive hold?")
            while not self._leaving.is_set():
                try:
                    await queries.ask(request, budget_s=QUESTION_BUDGET_S)
                except TransientError:
                    await asyncio.sleep(PAUSE_S)
                else:
                    self.questions.append(request.query_id)
                    break
            await asyncio.sleep(PAUSE_S)


async def serving(gateway: Gateway, *, timeout_s: float) -> float:
    """Seconds until a document is accepted and a question answered; somebody tries anew every quarter of a second."""
    began = time.monotonic()

    async def tried(path: str, body: dict[str, Any], good: Sequence[int]) -> bool:
        try:
            return (await gateway.http.post(path, json=body)).status_code in good
        except httpx.TransportError:
            return False

    async def first_success(path: str, body: dict[str, Any], good: Sequence[int]) -> None:
        tries: set[asyncio.Task[bool]] = set()
        try:
            while not any(each.done() and each.result() for each in tries):
                tries.add(asyncio.create_task(tried(path, body, good)))
                await asyncio.sleep(PAUSE_S)
        finally:
            for each in tries:
                each.cancel()
            await asyncio.gather(*tries, return_exceptions=True)

    document = {"document_id": "probe", "name": "probe.txt", "text": "The probe holds honey."}
    async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as both:
        both.create_task(first_success("/v1/documents", document, (200, 202)))
        both.create_task(first_success("/v1/query", {"query": "Honey?", "deadline_s": 20}, (200,)))
    return time.monotonic() - began


async def assert_all_is_done_once(people: People, index: VectorIndex, broker: Broker, *, timeout_s: float) -> None:
    """Every accepted document is ready with exactly its rows, every accepted question has ended."""
    ledger, terminals = DocumentLedger(broker), Terminals(broker)

    async def settled() -> bool:
        records = await ledger.get_many(TENANT, people.documents)
        return len(records) == len(people.documents) and all(r.pending_generation is None for r in records.values())

    async def ended() -> bool:
        found = [await terminals.find(TENANT, query_id) for query_id in people.questions]
        return all(found)

    await until(settled, timeout_s=timeout_s, what="every document has ended")
    await until(ended, timeout_s=timeout_s, what="every question has ended")
    records = await ledger.get_many(TENANT, people.documents)
    assert {record.state for record in records.values()} == {DocumentState.READY}
    census = await index.census()
    for document_id, record in records.items():
        rows = {
            generation: n
            for (tenant, owner, generation), n in census.items()
            if (tenant, owner) == (TENANT, document_id)
        }
        assert rows.get(str(record.visible_generation)) == 1, document_id
    assert people.unexpected == []
