"""Messages whose every delivery ended without an answer, on a real broker: the keeper ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import pytest

from contracts import subjects, topology
from contracts.advisories import DeliveryAdvisory
from contracts.answers import Failed
from contracts.documents import DocumentState, IngestRequest, Plan, PurgeRequest
from contracts.errors import ErrorCode, PermanentError
from contracts.events import DocumentFact
from contracts.identifiers import new_id
from contracts.queries import QueryRequest
from contracts.settings import BrokerSettings, KeeperSettings
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.document_failures import DocumentFailures
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.storage import Storage, Stored
from messaging.terminals import Terminals
from tests.support.letters import dead_letters
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.keeper.exhaustion import Exhaustion
from workers.keeper.worker import build

DELIVERIES = 2
SHA = "a" * 64


@pytest.fixture
def table() -> Topology:
    return brisk(ack_wait_s=0.3, max_deliver=DELIVERIES)


@pytest.fixture
async def keepers(broker: Broker, broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[None]:
    """Two, as in earnest."""
    async with AsyncExitStack() as stack:
        for n in (1, 2):
            settings = KeeperSettings(nats_url=broker_settings.nats_url, instance=f"keeper-{n}", drain_timeout_s=5)
            await stack.enter_async_context(running(build(settings, table=table)))
        yield


async def use_up(broker: Broker, consumer: topology.Consumer, *, messages: int = 1) -> None:
    """Take the next messages as often as they are given out, as workers do that die each time.

    The broker sees that a message may not be given out again when somebody asks for more.
    """
    pulled = await broker.js.pull_subscribe_bind(consumer.durable, consumer.stream.name)
    taken = 0
    while True:
        try:
            taken += len(await pulled.fetch(messages, timeout=1))
        except TimeoutError:  # of nats-py, or of asyncio where it has no name for it
            if taken >= messages * DELIVERIES:
                break
    await pulled.unsubscribe()
    assert taken == messages * DELIVERIES


async def submit(broker: Broker, document_id: str = "bees", *, planned: bool = False) -> IngestRequest:
    ledger, generation = DocumentLedger(broker), new_id()
    await ledger.submit("t", document_id, generation=generation, name="a.txt", sha256=SHA, size_bytes=1)
    if planned:
        await ledger.plan("t", document_id, generation, Plan(plan_id=SHA, batches=1, chunks=1, characters=1))
    request = IngestRequest(tenant="t", document_id=document_id, generation=generation, name="a.txt", sha256=SHA)
    await broker.publish(
        subjects.ingest_request("t"),
        request,
        stream=topology.INGEST,
        message_id=f"m.{generation}",
        headers={"X-Of": "me"},
    )
    return request


async def letter_count(broker: Broker) -> int:
    return await Storage(broker).count(topology.DLQ.name, subjects.dead_letter("*", "*"))


async def test_a_message_that_kills_its_worker_ends_as_a_dead_letter(keepers, broker):
    request = await submit(broker)
    await use_up(broker, topology.INGEST_WORKERS)
    await until(lambda: letter_count(broker))
    (letter,) = await dead_letters(broker)
    assert (letter.tenant, letter.stream, letter.consumer, letter.subject) == (
        "t",
        "INGEST",
        "ingest",
        "rag.ingest.requests.t",
    )
    assert (letter.code, letter.attempts) == (ErrorCode.RETRIES_EXHAUSTED, DELIVERIES)
    assert "the process died" in letter.reason
    assert letter.headers == {"Nats-Msg-Id": f"m.{request.generation}", "X-Of": "me"}
    assert IngestRequest.from_bytes(letter.payload) == request

    async def is_removed() -> bool:
        return await Storage(broker).count(topology.INGEST.name, ">") == 0

    await until(is_removed)


async def test_its_document_has_failed_by_then_with_a_reason(keepers, broker):
    request = await submit(broker)
    await use_up(broker, topology.INGEST_WORKERS)
    await until(lambda: letter_count(broker))
    record = await DocumentLedger(broker).get("t", "bees")
    assert record is not None
    assert record.state is DocumentState.FAILED
    assert record.latest.failure is not None
    assert record.latest.failure.code == ErrorCode.RETRIES_EXHAUSTED
    assert record.latest.generation == request.generation
    assert await Storage(broker).count(topology.EVENTS.name, subjects.document_event(DocumentFact.FAILED, "t")) == 1
    assert await Storage(broker).count(topology.EMBED.name, ">") == 0  # nothing was ever planned


async def test_what_was_planned_is_purged(keepers, broker):
    request = await submit(broker, planned=True)
    await use_up(broker, topology.INGEST_WORKERS)
    await until(lambda: letter_count(broker))
    (stored,) = await Storage(broker).following(topology.EMBED.name, subjects.embed_purge("t"))
    assert PurgeRequest.from_bytes(stored.data).generation == request.generation


async def test_its_query_has_failed_by_then(keepers, broker):
    await Queries(broker).ask(QueryRequest(tenant="t", query_id="q", query="How?"), budget_s=60)
    await use_up(broker, topology.QUERY_WORKERS)
    await until(lambda: letter_count(broker))
    terminal = await Terminals(broker).find("t", "q")
    assert isinstance(terminal, Failed)
    assert (terminal.code, terminal.retryable) == (ErrorCode.RETRIEVAL_FAILED, True)


async def test_what_cannot_be_read_becomes_a_letter_all_the_same(keepers, broker):
    await broker.publish_bytes("rag.ingest.requests.t", b"\xff", stream="INGEST")
    await use_up(broker, topology.INGEST_WORKERS)
    await until(lambda: letter_count(broker))
    (letter,) = await dead_letters(broker)
    assert letter.payload == b"\xff"


async def test_many_at_once_have_one_letter_each(keepers, broker):
    for n in range(20):
        await submit(broker, f"d{n}")
    await use_up(broker, topology.INGEST_WORKERS, messages=20)

    async def all_written() -> bool:
        return await letter_count(broker) == 20

    await until(all_written, timeout_s=60)

    async def is_removed() -> bool:
        return await Storage(broker).count(topology.INGEST.name, ">") == 0

    await until(is_removed)
    assert len({letter.message_id for letter in await dead_letters(broker)}) == 20


async def test_advisories_of_the_time_before_the_keeper_are_not_lost(broker, broker_settings, table):
    await submit(broker)
    await use_up(broker, topology.INGEST_WORKERS)
    advisories = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"

    async def is_told() -> bool:
        return await Storage(broker).count(topology.ADVISORIES.name, advisories) == 1

    await until(is_told)
    async with running(build(KeeperSettings(nats_url=broker_settings.nats_url, drain_timeout_s=5), table=table)):
        await until(lambda: letter_count(broker))


async def test_a_message_that_was_settled_meanwhile_is_left_alone(keepers, broker):
    request = await submit(broker)
    stored = (await Storage(broker).following(topology.INGEST.name, ">"))[0]
    await Storage(broker).remove(topology.INGEST.name, stored.sequence)
    await Storage(broker).remove(topology.INGEST.name, stored.sequence)  # a second keeper's: no error
    advisory = (
        b'{"type":"io.nats.jetstream.advisory.v1.max_deliver","id":"x","timestamp":"2026-01-01T00:00:00Z",'
        b'"stream":"INGEST","consumer":"ingest","stream_seq":%d,"deliveries":2}' % stored.sequence
    )
    await broker.publish_bytes(
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.INGEST.ingest", advisory, stream=topology.ADVISORIES.name
    )

    async def is_heard() -> bool:
        info = await broker.js.consumer_info(topology.ADVISORIES.name, topology.KEEPER_ADVISORIES.durable)
        return (info.num_pending, info.num_ack_pending) == (0, 0)

    await until(is_heard)
    await asyncio.sleep(0)
    record = await DocumentLedger(broker).get("t", request.document_id)
    assert record is not None
    assert record.state is DocumentState.SUBMITTED
    assert await letter_count(broker) == 0


async def test_an_advisory_of_a_time_before_the_message_means_another_one(broker):
    await submit(broker)
    (stored,) = await Storage(broker).following(topology.INGEST.name, ">")
    await Exhaustion(broker).end(advisory_of(stored, at=stored.stored_at - timedelta(seconds=1)))
    assert await letter_count(broker) == 0
    assert await Storage(broker).count(topology.INGEST.name, ">") == 1


async def test_a_letter_does_not_wait_for_a_document_that_cannot_be_told(broker, monkeypatch):
    async def refuse(*_: object) -> None:
        raise PermanentError("cannot become failed")

    monkeypatch.setattr(DocumentFailures, "fail", refuse)
    await submit(broker)
    (stored,) = await Storage(broker).following(topology.INGEST.name, ">")
    await Exhaustion(broker).end(advisory_of(stored, at=stored.stored_at))
    assert await letter_count(broker) == 1
    assert await Storage(broker).count(topology.INGEST.name, ">") == 0


def advisory_of(stored: Stored, *, at: datetime) -> DeliveryAdvisory:
    return DeliveryAdvisory(
        type=DeliveryAdvisory.EXHAUSTED,
        timestamp=at,
        stream="INGEST",
        consumer="ingest",
        stream_seq=stored.sequence,
        deliveries=2,
    )
