"""The retrieve worker on a real broker and a real index."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed, Failed, Retrieved
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.events import QueryFact
from contracts.identifiers import new_id
from contracts.queries import GenerateRequest, QueryRequest, SearchMode
from contracts.settings import RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerReader
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import Terminals
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked, is_told, texts, told, warms_up
from tests.support.indexes import opened_index
from tests.support.letters import dead_letters
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.retrieve.worker import build

QUESTION = "What do the winter stores of a colony weigh?"


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=2)


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> RetrieveSettings:
    return RetrieveSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path)


@pytest.fixture
async def index(settings: RetrieveSettings) -> AsyncIterator[VectorIndex]:
    async with opened_index(settings) as index:
        yield index


@pytest.fixture
def shelf(broker: Broker, index: VectorIndex) -> Shelf:
    return Shelf(ledger=DocumentLedger(broker), index=index)


@pytest.fixture
def app(settings: RetrieveSettings, table: Topology, broker: Broker) -> WorkerApp:
    return build(settings, embedder=SimulatedEmbedder, table=table)


def search(query: str = QUESTION, **options: object) -> QueryRequest:
    return QueryRequest.model_validate({"tenant": TENANT, "query": query, "generate": False, **options})


async def handed_over(broker: Broker) -> list[GenerateRequest]:
    """The requests that wait for a generate worker."""
    stored = await Storage(broker).following(topology.GENERATE.name, subjects.generate_request(TENANT), after=0)
    return [GenerateRequest.from_bytes(message.data) for message in stored]


async def test_a_search_ends_with_what_was_found(app: WorkerApp, broker: Broker, shelf: Shelf) -> None:
    generation = await shelf.put("bees", *TEXTS)
    async with running(app):
        retrieved, completed = await asked(broker, search())
        await until(lambda: is_told(broker, QueryFact.COMPLETED))
    assert isinstance(retrieved, Retrieved)
    assert retrieved.passages[0].text == TEXTS[0]
    assert retrieved.passages[0].generation == generation
    assert isinstance(completed, Completed)
    assert (completed.answer, completed.citations) == (None, ())
    assert {"search", "visibility", "rank"} <= set(completed.timings_ms)
    assert await told(broker, QueryFact.RETRIEVED) == 1


async def test_a_question_is_handed_over_to_generation_with_its_deadline(
    app: WorkerApp, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    request = search(generate=True, generation={"max_tokens": 50})
    async with running(app):
        before = broker.clock.now()
        await Queries(broker).ask(request, budget_s=20)
        await until(lambda: is_told(broker, QueryFact.RETRIEVED))
    (follow_up,) = await handed_over(broker)
    assert (follow_up.query_id, follow_up.query) == (request.query_id, request.query)
    assert follow_up.passages[0].text == TEXTS[0]
    assert follow_up.generation.max_tokens == 50
    assert 15 < (follow_up.deadline - before).total_seconds() < 25
    assert await Terminals(broker).find(TENANT, request.query_id) is None


async def test_a_question_asked_twice_under_one_id_is_handed_over_once(
    app: WorkerApp, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    request = search(generate=True)
    async with running(app):
        for repeat in ("", ".again"):
            await broker.publish(
                subjects.query_request(TENANT), request, stream=topology.QUERY, message_id=request.query_id + repeat
            )
        await until(lambda: _is_empty(broker, topology.QUERY.name))
    assert len(await handed_over(broker)) == 1


async def _is_empty(broker: Broker, stream: str) -> bool:
    return (await broker.js.stream_info(stream)).state.messages == 0


async def test_only_the_visible_generation_is_found(app: WorkerApp, broker: Broker, shelf: Shelf) -> None:
    await shelf.put("bees", *(f"{TEXTS[0]} Old {i}." for i in range(30)))
    await shelf.put("bees", f"{TEXTS[0]} New.")
    await shelf.put("bees", f"{TEXTS[0]} Pending.", visible=False)
    async with running(app):
        retrieved, _ = await asked(broker, search())
    assert texts(retrieved) == [f"{TEXTS[0]} New."]


async def test_a_deleted_document_is_not_found_though_its_rows_are_there(
    app: WorkerApp, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    await shelf.put("wasps", "Wasps have no winter stores.")
    await shelf.ledger.delete(TENANT, "bees")
    async with running(app):
        retrieved, _ = await asked(broker, search())
    assert texts(retrieved) == ["Wasps have no winter stores."]


async def test_another_tenant_finds_nothing(app: WorkerApp, broker: Broker, shelf: Shelf) -> None:
    await shelf.put("bees", *TEXTS)
    async with running(app):
        retrieved, _ = await asked(broker, search(tenant="other"))
    assert texts(retrieved) == []


async def test_a_search_by_vector_finds_the_text_that_was_encoded(app: WorkerApp, broker: Broker, shelf: Shelf) -> None:
    await shelf.put("bees", *TEXTS)
    async with running(app):
        retrieved, _ = await asked(broker, search(TEXTS[2], mode=SearchMode.VECTOR, top_k=1))
    assert texts(retrieved) == [TEXTS[2]]


async def test_a_search_for_a_query_that_has_ended_is_stopped(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    request, held = search(generate=True, mode=SearchMode.VECTOR), _Held()
    await Terminals(broker).end(Cancelled(tenant=TENANT, query_id=request.query_id))
    async with running(build(settings, embedder=lambda: held, table=table)):
        await Queries(broker).ask(request, budget_s=20)
        await until(lambda: _is_empty(broker, topology.QUERY.name))
        held.gate.set()
    assert await handed_over(broker) == []
    assert await told(broker, QueryFact.RETRIEVED) == 0


class _Held(SimulatedEmbedder):
    """Is warmed up at once, but takes until the gate opens for a question."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def encode_questions(self, questions):
        if not warms_up(questions):
            self.gate.wait(20)
        return super().encode_questions(questions)


async def test_a_question_past_its_deadline_fails_and_can_be_asked_again(
    app: WorkerApp, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    request = search()
    await Queries(broker).ask(request, budget_s=0.05)
    stored_at = broker.clock.now()
    await until(lambda: (broker.clock.now() - stored_at).total_seconds() > 0.1)
    async with running(app):
        await until(lambda: _has_ended(broker, request))
    ended = await Terminals(broker).find(TENANT, request.query_id)
    assert isinstance(ended, Failed)
    assert (ended.code, ended.retryable) == (ErrorCode.DEADLINE_EXCEEDED, True)


async def _has_ended(broker: Broker, request: QueryRequest) -> bool:
    return await Terminals(broker).find(request.tenant, request.query_id) is not None


@pytest.mark.parametrize(
    ("error", "retryable"),
    [(PermanentError("the encoder is broken"), False), (TransientError("away", retry_after_s=0.05), True)],
)
async def test_a_question_that_cannot_be_searched_for_fails_with_the_reason_and_whether_to_ask_again(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf, error: Exception, retryable: bool
) -> None:
    await shelf.put("bees", *TEXTS)
    app = build(settings, embedder=lambda: _Broken(error), table=table)
    async with running(app):
        (failed,) = await asked(broker, search(mode=SearchMode.VECTOR))
        await until(lambda: is_told(broker, QueryFact.FAILED))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retryable) == (ErrorCode.RETRIEVAL_FAILED, retryable)
    assert str(error) in failed.message
    await until(lambda: _is_empty(broker, topology.QUERY.name))
    assert len(await dead_letters(broker)) == 1


class _Broken(SimulatedEmbedder):
    """Fails on one question; on all it would be away, and questions would wait for it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def encode_questions(self, questions):
        if QUESTION in questions:
            raise self._error
        return super().encode_questions(questions)


async def test_a_question_without_its_id_in_the_headers_is_told_to_the_keeper(
    app: WorkerApp, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    request = search()
    async with running(app), AnswerReader(broker).open(TENANT, request.query_id) as stream:
        await broker.nc.publish(subjects.query_request(TENANT), request.to_bytes())
        events = [event async for event in stream.events(timeout_s=20)]
    assert isinstance(events[-1], Completed)
    accepted = subjects.query_event(QueryFact.ACCEPTED, TENANT)
    stored = await Storage(broker).following(topology.EVENTS.name, accepted, after=0)
    named = [m for m in stored if m.headers.get(subjects.HEADER_QUERY_ID) == request.query_id]
    assert len(named) == 1
    assert 25_000 < int(named[0].headers[subjects.HEADER_BUDGET_MS]) <= 30_000


async def test_two_workers_share_the_questions_and_answer_each_once(
    settings: RetrieveSettings, table: Topology, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    async with AsyncExitStack() as stack:
        for number in range(2):
            own = settings.model_copy(update={"instance": f"retrieve-{number}", "retrieve_concurrency": 2})
            await stack.enter_async_context(running(build(own, embedder=SimulatedEmbedder, table=table)))
        answers = await asyncio.gather(*(asked(broker, search(query_id=new_id())) for _ in range(20)))
    assert all(len(events) == 2 and texts(events[0])[0] == TEXTS[0] for events in answers)
    assert await told(broker, QueryFact.COMPLETED) == 20
