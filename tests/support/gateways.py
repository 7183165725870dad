"""A gateway inside a test, and stand-ins for the workers behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from contracts import subjects
from contracts.answers import Citation, Completed, Delta, Failed, Retrieved
from contracts.documents import DocumentRecord, Plan
from contracts.errors import ErrorCode
from contracts.events import DocumentFact
from contracts.gateway_settings import Auth
from contracts.queries import GenerateRequest, QueryRequest, RetrievedPassage
from contracts.settings import GatewaySettings
from gateway.app import create_app
from gateway.drain import Drain
from gateway.limits import Limits
from gateway.server import GatewayServer, bind, config
from messaging.answers import AnswerPublisher
from messaging.broker import Broker
from messaging.events import Events
from messaging.ledger import DocumentLedger
from messaging.terminals import Terminals
from messaging.uploads import Uploads
from observability.telemetry import Telemetry
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until

TEXT = "Bees dance. 蜜蜂会跳舞。 The dance tells the way."
QUICK = Limits(
    upload_max_bytes=256 * 1024,
    silence_s=0.5,
    resume_grace_s=0.4,
    unknown_query_wait_s=0.2,
    deadline_grace_s=0.3,
    ledger_poll_s=0.2,
    stream_keepalive_s=0.5,
    backlog_poll_s=0.1,
)


@dataclass(frozen=True)
class Gateway:
    """A running gateway; `http` is a client of it."""

    url: str
    http: httpx.AsyncClient
    drain: Drain

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return (await self.http.get("/health/ready")).status_code == 200

        await until(is_ready)


@asynccontextmanager
async def running_gateway(
    nats_url: str,
    *,
    limits: Limits = QUICK,
    drain_timeout_s: float = 5,
    telemetry: Telemetry | None = None,
    **options: Any,
) -> AsyncIterator[Gateway]:
    """Serve on a free port until the end of the block. It may not be connected yet: see `Gateway.ready`."""
    given = {"auth": Auth.DEVELOPMENT, **options}
    settings = GatewaySettings(nats_url=nats_url, drain_timeout_s=drain_timeout_s, publish_timeout_s=2, **given)
    drain = Drain(timeout_s=drain_timeout_s)
    app = create_app(settings, limits=limits, drain=drain, telemetry=telemetry, on_closed=lambda: None)
    server = GatewayServer(config(app, settings), drain)
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving = asyncio.create_task(server._serve([listener]))
    try:
        await until(lambda: server.started)
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
            yield Gateway(url=url, http=http, drain=drain)
    finally:
        drain.begin()
        await serving


Scenario = Callable[[QueryRequest, "Stage"], Coroutine[Any, Any, None]]


class Stage:
    """What a stand-in for retrieve and generate may do for one question."""

    def __init__(self, broker: Broker, request: QueryRequest | GenerateRequest) -> None:
        self._of: dict[str, Any] = {"tenant": request.tenant, "query_id": request.query_id}
        self._answers = AnswerPublisher(broker)
        self._terminals = Terminals(broker)

    async def retrieved(self) -> None:
        await self._answers.retrieved(Retrieved(**self._of, passages=(PASSAGE,), timings_ms={"search": 1.5}))

    async def delta(self, event_id: str, text: str) -> None:
        await self._answers.delta(Delta(**self._of, id=event_id, text=text))
        await self._answers.flush(self._of["tenant"], self._of["query_id"])

    async def completed(self, answer: str | None = "Bees dance [1].") -> None:
        citations = (CITATION,) if answer else ()
        await self._terminals.end(Completed(**self._of, answer=answer, citations=citations))

    async def failed(self, code: ErrorCode, *, retryable: bool) -> None:
        await self._terminals.end(Failed(**self._of, code=code, message="It went wrong.", retryable=retryable))


PASSAGE = RetrievedPassage(
    chunk_id="c", document_id="bees", generation="g1", name="bees.txt", ordinal=0, text=TEXT, score=0.9, start=0, end=len(TEXT), page=1
)  # fmt: skip
CITATION = Citation(
    n=1, chunk_id="c", document_id="bees", generation="g1", name="bees.txt", page=1, start=0, end=11, quote=TEXT[:11]
)


async def answering(request: QueryRequest, stage: Stage) -> None:
    """The usual course: passages, two pieces, the whole."""
    await stage.retrieved()
    if request.generate:
        await stage.delta("1.1", "Bees ")
        await stage.delta("1.2", "dance [1].")
    await stage.completed("Bees dance [1]." if request.generate else None)


def finishing_after(go_on: asyncio.Event) -> Scenario:
    """Passages at once, the answer when `go_on` is set."""

    async def scenario(_: QueryRequest, stage: Stage) -> None:
        await stage.retrieved()
        await go_on.wait()
        await stage.completed("Finished.")

    return scenario


@dataclass
class FakeWorkers:
    """Answers every question by `scenario`; remembers the questions."""

    broker: Broker
    scenario: Scenario = answering
    questions: list[QueryRequest] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        await self.broker.nc.subscribe(f"{subjects.QUERY_REQUESTS}.*", cb=self._on_question)
        await known_to_broker(self.broker)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _on_question(self, message) -> None:
        request = QueryRequest.from_bytes(message.data)
        self.questions.append(request)
        task = asyncio.create_task(self.scenario(request, Stage(self.broker, request)))
        self._tasks.add(task)


class FakeIngest:
    """Takes documents through their states as ingest and embed would."""

    def __init__(self, broker: Broker, *, batches: int = 2) -> None:
        self.ledger = DocumentLedger(broker)
        self._uploads = Uploads(broker)
        self._events = Events(broker)
        self._batches = batches

    async def planned(self, tenant: str, document_id: str, *, text: str = TEXT) -> DocumentRecord:
        record = await self._record(tenant, document_id)
        generation = record.latest.generation
        await self._uploads.put(tenant, document_id, generation, "text", _once(text.encode()), max_bytes=1 << 30)
        plan = Plan(plan_id="a" * 64, batches=self._batches, chunks=3, characters=len(text))
        await self.ledger.plan(tenant, document_id, generation, plan, "text/plain")
        record = await self._record(tenant, document_id)
        await self._events.document(DocumentFact.PLANNED, record, generation)
        return record

    async def batch_done(self, record: DocumentRecord, batch: int) -> None:
        generation = record.latest.generation
        done = await self.ledger.batch_done(record.tenant, record.document_id, generation, batch, self._batches)
        await self._events.document(DocumentFact.PROGRESS, record, generation, batches_done=done)

    async def ready(self, record: DocumentRecord) -> None:
        generation = record.latest.generation
        flipped = await self.ledger.ready(record.tenant, record.document_id, generation)
        await self._events.document(DocumentFact.READY, flipped, generation)

    async def through(self, document_id: str, *, tenant: str = "default", text: str = TEXT) -> DocumentRecord:
        """All the way to ready."""
        record = await self.planned(tenant, document_id, text=text)
        for batch in range(self._batches):
            await self.batch_done(record, batch)
        await self.ready(record)
        return await self._record(tenant, document_id)

    async def _record(self, tenant: str, document_id: str) -> DocumentRecord:
        record = await self.ledger.get(tenant, document_id)
        assert record is not None
        return record


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
