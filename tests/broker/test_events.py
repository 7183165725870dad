"""Facts are told under ids that are the same however often they are told."""

from __future__ import annotations

import pytest

from contracts import topology
from contracts.answers import Usage
from contracts.documents import DocumentRecord, Plan
from contracts.events import DocumentEvent, DocumentFact, QueryEvent, QueryFact
from contracts.identifiers import new_id
from messaging.broker import Broker
from messaging.events import Events
from messaging.ledger import DocumentLedger
from messaging.storage import Storage, Stored

PLAN = Plan(plan_id="a" * 64, batches=4, chunks=50, characters=10_000)


@pytest.fixture
def events(broker: Broker) -> Events:
    return Events(broker)


async def planned(broker: Broker) -> DocumentRecord:
    ledger, generation = DocumentLedger(broker), new_id()
    await ledger.submit("t", "d", generation=generation, name="a.txt", sha256="0" * 64, size_bytes=1, principal="alice")
    await ledger.plan("t", "d", generation, PLAN)
    record = await ledger.get("t", "d")
    assert record is not None
    return record


async def told(broker: Broker, subject: str) -> list[Stored]:
    return await Storage(broker).following(topology.EVENTS.name, subject)


async def test_a_documents_fact_says_what_its_record_says(events: Events, broker: Broker) -> None:
    record = await planned(broker)
    await events.document(DocumentFact.PROGRESS, record, record.latest.generation, batches_done=3)
    [stored] = await told(broker, "rag.events.document.progress.t")
    event = DocumentEvent.from_bytes(stored.data)
    assert (event.name, event.principal, event.version) == ("a.txt", "alice", 1)
    assert (event.batches_done, event.batches, event.chunks) == (3, 4, 50)


async def test_a_fact_told_twice_is_kept_once(events: Events, broker: Broker) -> None:
    record = await planned(broker)
    for _ in range(3):
        await events.document(DocumentFact.PLANNED, record, record.latest.generation)
    assert len(await told(broker, "rag.events.document.planned.t")) == 1


async def test_each_step_of_progress_is_a_fact_of_its_own(events: Events, broker: Broker) -> None:
    record = await planned(broker)
    for done in (1, 2, 3, 3):
        await events.document(DocumentFact.PROGRESS, record, record.latest.generation, batches_done=done)
    assert len(await told(broker, "rag.events.document.progress.t")) == 3


async def test_a_generation_that_the_record_has_forgotten_is_not_told(events: Events, broker: Broker) -> None:
    await events.document(DocumentFact.READY, await planned(broker), "forgotten")
    assert await told(broker, "rag.events.document.>") == []


async def test_a_querys_fact_carries_its_figures(events: Events, broker: Broker) -> None:
    await events.query(
        QueryFact.COMPLETED,
        tenant="t",
        query_id="q",
        answered=True,
        citations=2,
        timings_ms={"search": 8.5},
        writing_s=0.5,
        cached=False,
        usage=Usage(prompt_tokens=90, completion_tokens=30),
    )
    [stored] = await told(broker, "rag.events.query.completed.t")
    event = QueryEvent.from_bytes(stored.data)
    assert (event.id, event.answered, event.citations) == ("query.t.q.completed", True, 2)
    assert event.timings_ms == {"search": 8.5}
    assert (event.writing_s, event.cached, event.prompt_tokens, event.completion_tokens) == (0.5, False, 90, 30)
