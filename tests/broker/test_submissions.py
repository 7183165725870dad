"""Handing in documents: in which order things become true, and what is left when something fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from contracts import topology
from contracts.documents import DocumentState, IngestRequest, Plan, PurgeRequest
from contracts.events import DocumentEvent, DocumentFact
from contracts.message import Message
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError, StreamFullError
from messaging.ledger import DocumentLedger, DocumentNotFoundError, SupersededError
from messaging.provisioning import provision
from messaging.storage import Storage
from messaging.submissions import Submissions, Submitted
from messaging.uploads import UploadMissingError, Uploads, UploadTooLargeError
from tests.support.outages import outage
from tests.support.topologies import brisk
from tests.support.waiting import until

PLAN = Plan(plan_id="a" * 64, batches=1, chunks=1, characters=10)
MiB = 1024 * 1024


class House:
    """Everything around one broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.ledger = DocumentLedger(broker)
        self.uploads = Uploads(broker)
        self.submissions = Submissions(broker, self.ledger, self.uploads)

    async def submit(
        self, text: bytes = b"hello", *, document_id: str | None = "d", name: str = "a.txt", max_bytes: int = MiB
    ) -> Submitted:
        async def content() -> AsyncIterator[bytes]:
            yield text

        return await self.submissions.submit(
            tenant="t", document_id=document_id, name=name, content=content(), max_bytes=max_bytes
        )

    async def finish(self, generation: str) -> None:
        await self.ledger.plan("t", "d", generation, PLAN)
        await self.ledger.ready("t", "d", generation)

    async def queued(self, stream: topology.Stream, subject: str, kind: type[Message]) -> list[Message]:
        stored = await Storage(self.broker).following(stream.name, subject)
        return [kind.from_bytes(s.data) for s in stored]

    async def requested(self) -> list[str]:
        found = await self.queued(topology.INGEST, "rag.ingest.requests.*", IngestRequest)
        return [r.generation for r in found if isinstance(r, IngestRequest)]

    async def purged(self) -> list[str]:
        found = await self.queued(topology.EMBED, "rag.embed.purges.*", PurgeRequest)
        return [r.generation for r in found if isinstance(r, PurgeRequest)]

    async def told(self) -> list[tuple[DocumentFact, str]]:
        found = await self.queued(topology.EVENTS, "rag.events.document.*.*", DocumentEvent)
        return [(e.fact, e.generation) for e in found if isinstance(e, DocumentEvent)]

    async def state(self, document_id: str = "d") -> DocumentState | None:
        record = await self.ledger.get("t", document_id)
        return record.state if record else None

    async def uploads_left(self) -> int:
        return await Storage(self.broker).count("OBJ_uploads", "$O.uploads.M.*")

    async def close(self) -> None:
        await self.submissions.close()
        await self.uploads.close()


@pytest.fixture
async def house(broker: Broker) -> AsyncIterator[House]:
    house = House(broker)
    yield house
    await house.close()


async def test_a_submission_is_uploaded_entered_requested_and_told(house: House) -> None:
    submitted = await house.submit(b"hello")
    assert await house.uploads.read_bytes("t", "d", submitted.generation, "content") == b"hello"
    assert submitted.record.pending_generation == submitted.generation
    assert await house.requested() == [submitted.generation]
    assert await house.told() == [(DocumentFact.SUBMITTED, submitted.generation)]


async def test_without_an_id_each_submission_is_a_new_document(house: House) -> None:
    one, two = await house.submit(document_id=None), await house.submit(document_id=None)
    assert one.record.document_id != two.record.document_id
    assert len(await house.requested()) == 2


async def test_the_content_that_is_visible_already_is_not_run_again(house: House) -> None:
    first = await house.submit()
    await house.finish(first.generation)
    again = await house.submit()
    assert (again.unchanged, again.generation) == (True, first.generation)
    assert await house.requested() == [first.generation]
    assert await house.uploads_left() == 1


async def test_the_same_content_submitted_while_it_is_pending_joins_that_run(house: House) -> None:
    first = await house.submit()
    again = await house.submit()
    assert (again.unchanged, again.generation) == (True, first.generation)
    assert await house.requested() == [first.generation]
    assert await house.uploads_left() == 1


async def test_joining_a_run_whose_request_was_cut_off_sends_it(house: House, broker: Broker) -> None:
    first = await house.submit()
    await broker.js.purge_stream(topology.INGEST.name)
    await broker.js.delete_stream(topology.INGEST.name)  # and its memory of message ids
    await provision(broker, brisk())
    await house.submit()
    assert await house.requested() == [first.generation]


async def test_another_name_is_another_version(house: House) -> None:
    first = await house.submit()
    await house.finish(first.generation)
    renamed = await house.submit(name="b.txt")
    assert (renamed.unchanged, renamed.record.latest.version) == (False, 2)


async def test_a_newer_submission_supersedes_the_pending_one_and_removes_what_it_left(house: House) -> None:
    first = await house.submit(b"one")
    second = await house.submit(b"two")
    assert second.superseded == (first.generation,)
    assert (DocumentFact.SUPERSEDED, first.generation) in await house.told()
    assert await house.purged() == [first.generation]
    with pytest.raises(UploadMissingError):
        await house.uploads.read_bytes("t", "d", first.generation, "content")


async def test_an_upload_that_is_too_large_leaves_no_document(house: House) -> None:
    with pytest.raises(UploadTooLargeError):
        await house.submit(b"x" * (MiB + 1))
    assert await house.state() is None
    assert (await house.requested(), await house.uploads_left()) == ([], 0)


async def test_a_submission_that_the_ledger_refuses_leaves_no_upload(house: House) -> None:
    with pytest.raises(ValueError, match="name"):
        await house.submit(name="")

    async def gone() -> bool:
        return await house.uploads_left() == 0

    await until(gone)


async def test_without_a_broker_a_submission_is_refused(house: House, broker: Broker, nats_server: NatsServer) -> None:
    async with outage(nats_server, broker):
        with pytest.raises(BrokerUnavailableError):
            await house.submit()
    assert await house.state() is None


async def test_a_broker_that_dies_after_the_ledger_write_leaves_nothing_hanging(
    house: House, broker: Broker, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = house.ledger.submit
    written = asyncio.Event()
    dead = asyncio.Event()

    async def enter_then_lose_the_broker(*args: str, **kwargs: object) -> Submitted:
        submitted = await enter(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
        written.set()
        await dead.wait()
        return submitted

    monkeypatch.setattr(house.ledger, "submit", enter_then_lose_the_broker)
    submitting = asyncio.create_task(house.submit())
    await written.wait()
    async with outage(nats_server, broker):
        dead.set()
        with pytest.raises(BrokerUnavailableError):
            await submitting
        assert house.submissions.unsettled == 1
    await until(lambda: house.submissions.unsettled == 0)
    record = await house.ledger.get("t", "d")
    assert record is not None
    assert await house.requested() == [record.pending_generation]


async def test_a_caller_who_leaves_after_the_ledger_write_leaves_nothing_hanging(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = house.ledger.submit
    written, go_on = asyncio.Event(), asyncio.Event()

    async def slow_enter(*args: str, **kwargs: object) -> Submitted:
        submitted = await enter(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
        written.set()
        await go_on.wait()
        return submitted

    monkeypatch.setattr(house.ledger, "submit", slow_enter)
    submitting = asyncio.create_task(house.submit())
    await written.wait()
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    go_on.set()
    await house.submissions.close()
    record = await house.ledger.get("t", "d")
    assert record is not None
    assert await house.requested() == [record.pending_generation]


async def test_a_replan_runs_the_same_content_under_a_new_generation(house: House) -> None:
    first = await house.submit(b"hello")
    fresh = await house.submissions.resubmit("t", "d", first.generation)
    assert (fresh.unchanged, fresh.superseded) == (False, (first.generation,))
    assert await house.uploads.read_bytes("t", "d", fresh.generation, "content") == b"hello"
    with pytest.raises(SupersededError):
        await house.submissions.resubmit("t", "d", first.generation)


async def test_a_deleted_document_is_invisible_and_everything_of_it_is_removed(house: House) -> None:
    first = await house.submit(b"one")
    await house.finish(first.generation)
    second = await house.submit(b"two")
    record = await house.submissions.delete("t", "d")
    assert (record.state, record.searchable_generation) == (DocumentState.DELETED, None)
    assert sorted(await house.purged()) == sorted([first.generation, second.generation])
    assert await house.uploads_left() == 0
    assert (await house.told())[-1] == (DocumentFact.DELETED, second.generation)


async def test_deleting_twice_changes_and_tells_nothing_more(house: House) -> None:
    await house.submit()
    assert await house.submissions.delete("t", "d") == await house.submissions.delete("t", "d")
    assert [fact for fact, _ in await house.told()] == [DocumentFact.SUBMITTED, DocumentFact.DELETED]


async def test_deleting_what_never_was_says_so(house: House) -> None:
    with pytest.raises(DocumentNotFoundError):
        await house.submissions.delete("t", "nothing")


async def test_a_deleted_document_can_be_submitted_again(house: House) -> None:
    first = await house.submit()
    await house.submissions.delete("t", "d")
    again = await house.submit()
    assert again.generation != first.generation
    assert (again.unchanged, again.record.latest.version) == (False, 2)
    assert again.generation in await house.requested()


class TestAFullIngestQueue:
    @pytest.fixture
    def table(self) -> Topology:
        table = brisk()
        tiny = tuple(replace(s, max_bytes=2000) if s.name == topology.INGEST.name else s for s in table.streams)
        return replace(table, streams=tiny)

    async def test_it_refuses_the_submission_and_ends_it_failed(self, house: House) -> None:
        refused = None
        for i in range(30):
            try:
                await house.submit(document_id=f"d{i}")
            except StreamFullError:
                refused = f"d{i}"
                break
        assert refused is not None
        assert await house.state(refused) is DocumentState.FAILED
        assert await house.state("d0") is DocumentState.SUBMITTED
        assert await house.uploads_left() == int(refused[1:])
