"""The ledger on a real broker: compare-and-set, reads in bulk, and changes that survive restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.documents import DocumentState, Failure, GenerationState, Plan
from contracts.errors import ErrorCode
from contracts.identifiers import new_id
from contracts.topology import DOCUMENTS
from deploy.local.nats_server import NatsServer
from messaging import succession
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.ledger import (
    Change,
    DocumentLedger,
    DocumentNotFoundError,
    IllegalTransitionError,
    StreamResetError,
    Submitted,
    SupersededError,
)
from messaging.provisioning import provision
from tests.support.outages import crash, outage
from tests.support.waiting import until

PLAN = Plan(plan_id="a" * 64, batches=2, chunks=3, characters=10)
BROKEN = Failure(code=ErrorCode.CORRUPT, message="The file is damaged: export it again.")


@pytest.fixture
def ledger(broker: Broker) -> DocumentLedger:
    return DocumentLedger(broker)


async def submit(ledger: DocumentLedger, document_id: str = "d", *, content: str = "0", tenant: str = "t") -> Submitted:
    return await ledger.submit(
        tenant, document_id, generation=new_id(), name="a.txt", sha256=content * 64, size_bytes=1
    )


async def make_ready(ledger: DocumentLedger, document_id: str = "d", *, content: str = "0") -> str:
    generation = (await submit(ledger, document_id, content=content)).generation
    await ledger.plan("t", document_id, generation, PLAN)
    await ledger.ready("t", document_id, generation)
    return generation


async def test_a_document_goes_from_submitted_to_ready(ledger: DocumentLedger) -> None:
    generation = await make_ready(ledger)
    record = await ledger.get("t", "d")
    assert record is not None
    assert (record.state, record.searchable_generation) == (DocumentState.READY, generation)


async def test_what_was_never_submitted_is_none(ledger: DocumentLedger) -> None:
    assert await ledger.get("t", "nothing") is None
    with pytest.raises(DocumentNotFoundError):
        await ledger.delete("t", "nothing")


async def test_the_same_content_again_changes_nothing(ledger: DocumentLedger) -> None:
    generation = await make_ready(ledger)
    again = await submit(ledger)
    assert (again.unchanged, again.generation, again.record.latest.version) == (True, generation, 1)


async def test_many_submitters_at_once_leave_one_pending_and_the_others_superseded(ledger: DocumentLedger) -> None:
    everybody = await asyncio.gather(*(submit(ledger, content=format(i, "x")) for i in range(8)))
    record = await ledger.get("t", "d")
    assert record is not None
    assert record.latest.version == 8
    assert record.pending_generation == record.latest.generation
    superseded = {g.generation for g in record.generations if g.state is GenerationState.SUPERSEDED}
    assert superseded == {s.generation for s in everybody} - {record.pending_generation}
    assert {old for s in everybody for old in s.superseded} == superseded


async def test_a_superseded_generation_cannot_be_planned_or_flipped(ledger: DocumentLedger) -> None:
    old = (await submit(ledger)).generation
    await ledger.plan("t", "d", old, PLAN)
    await submit(ledger, content="1")
    with pytest.raises(SupersededError):
        await ledger.plan("t", "d", old, PLAN)
    with pytest.raises(SupersededError):
        await ledger.ready("t", "d", old)


async def test_a_redelivered_ingest_gets_the_plan_that_was_recorded(ledger: DocumentLedger) -> None:
    generation = (await submit(ledger)).generation
    await ledger.plan("t", "d", generation, PLAN)
    other = PLAN.model_copy(update={"plan_id": "b" * 64})
    assert await ledger.plan("t", "d", generation, other) == PLAN


async def test_a_flip_of_a_failed_generation_is_refused_and_changes_nothing(ledger: DocumentLedger) -> None:
    generation = (await submit(ledger)).generation
    before = await ledger.fail("t", "d", generation, BROKEN)
    with pytest.raises(IllegalTransitionError):
        await ledger.ready("t", "d", generation)
    assert await ledger.get("t", "d") == before


async def test_the_flip_names_the_generation_it_replaced_also_when_repeated(ledger: DocumentLedger) -> None:
    old = await make_ready(ledger)
    new = await make_ready(ledger, content="1")
    repeated = await ledger.ready("t", "d", new)
    assert succession.replaced_by(repeated, new) == (old,)


async def test_a_deleted_document_stays_as_a_tombstone(ledger: DocumentLedger) -> None:
    generation = await make_ready(ledger)
    await ledger.delete("t", "d")
    record = await ledger.get("t", "d")
    assert record is not None
    assert (record.state, record.searchable_generation) == (DocumentState.DELETED, None)
    with pytest.raises(SupersededError):
        await ledger.ready("t", "d", generation)


async def test_records_are_read_in_bulk_and_only_those_of_the_tenant(ledger: DocumentLedger) -> None:
    await asyncio.gather(*(submit(ledger, f"d{i}") for i in range(30)))
    await submit(ledger, "d0", tenant="other", content="f")
    found = await ledger.get_many("t", [*(f"d{i}" for i in range(30)), "missing", "d0"])
    assert sorted(found) == sorted(f"d{i}" for i in range(30))
    assert found["d0"].tenant == "t"
    assert found["d0"].latest.sha256 == "0" * 64


async def test_reading_no_or_only_unknown_documents_in_bulk_finds_none(ledger: DocumentLedger) -> None:
    assert await ledger.get_many("t", []) == {}
    assert await ledger.get_many("t", ["x", "y"]) == {}


async def test_the_ledger_without_a_broker_says_so_at_once(
    ledger: DocumentLedger, broker: Broker, nats_server: NatsServer
) -> None:
    async with outage(nats_server, broker):
        for reading in (ledger.get("t", "d"), ledger.get_many("t", ["d"]), submit(ledger)):
            with pytest.raises(BrokerUnavailableError):
                await reading


async def test_every_acknowledged_change_survives_a_crash_of_the_broker(
    ledger: DocumentLedger, broker: Broker, nats_server: NatsServer
) -> None:
    old = await make_ready(ledger)
    new = (await submit(ledger, content="1")).generation
    await crash(nats_server, broker)
    await ledger.plan("t", "d", new, PLAN)
    await crash(nats_server, broker)
    record = await ledger.ready("t", "d", new)
    assert record.searchable_generation == new
    known = record.generation(old)
    assert known is not None
    assert known.state is GenerationState.SUPERSEDED


async def collect(changes: AsyncIterator[Change], into: list[Change]) -> None:
    async for change in changes:
        into.append(change)  # noqa: PERF401 (seen while it goes on)


async def test_changes_are_told_from_any_revision_on_without_gaps(ledger: DocumentLedger) -> None:
    seen: list[Change] = []
    for i in range(5):
        await submit(ledger, f"d{i}")
    following = asyncio.create_task(collect(ledger.changes(after_revision=2), seen))
    await until(lambda: len(seen) == 3)
    await submit(ledger, "d9")
    await until(lambda: len(seen) == 4)
    following.cancel()
    assert [c.record.document_id for c in seen] == ["d2", "d3", "d4", "d9"]
    assert [c.revision for c in seen] == [3, 4, 5, 6]


async def test_changes_go_on_after_a_crash_of_the_broker(
    ledger: DocumentLedger, broker: Broker, nats_server: NatsServer
) -> None:
    seen: list[Change] = []
    following = asyncio.create_task(collect(ledger.changes(), seen))
    await submit(ledger, "before")
    await until(lambda: len(seen) == 1)
    await crash(nats_server, broker)
    await submit(ledger, "after")
    await until(lambda: len(seen) == 2, timeout_s=60)
    following.cancel()
    assert [c.record.document_id for c in seen] == ["before", "after"]


async def test_a_ledger_made_anew_is_noticed_by_who_follows_it(ledger: DocumentLedger, broker: Broker) -> None:
    for i in range(3):
        await submit(ledger, f"d{i}")
    await broker.js.delete_stream(f"KV_{DOCUMENTS.name}")
    await provision(broker)
    with pytest.raises(StreamResetError):
        await anext(ledger.changes(after_revision=3))
