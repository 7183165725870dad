"""What comes late loses nothing: repeated ingest requests, replans overtaken by their owner, refused submissions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from contracts import topology
from contracts.documents import DocumentState, Generation, GenerationState
from contracts.events import DocumentFact
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.errors import StreamFullError
from messaging.ledger import SupersededError
from messaging.uploads import StoredUpload, UploadMissingError
from tests.broker.test_submissions import House as Entrance
from tests.support.ingest_house import TENANT, House
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running

TEXT = b"The broker stores every message before it answers. " * 10


@pytest.fixture
async def house(broker: Broker, broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[House]:
    house = House(broker, broker_settings, table)
    yield house
    await house.close()


@pytest.fixture
async def entrance(broker: Broker) -> AsyncIterator[Entrance]:
    entrance = Entrance(broker)
    yield entrance
    await entrance.close()


class TestARepeatedIngestRequest:
    async def test_of_a_visible_document_leaves_its_text_and_original(self, house: House) -> None:
        async with running(house.worker()):
            generation = await house.submit("d", TEXT)
            await house.batched("d")
            await house.ledger.ready(TENANT, "d", generation)
            await house.ask_again("d", generation)
            await until(house.queue_is_empty)
        assert (await house.latest("d")).state is GenerationState.READY
        assert await house.text("d")
        assert await house.uploads.read_bytes(TENANT, "d", generation, "content") == TEXT

    async def test_of_a_failed_document_leaves_its_original(self, house: House) -> None:
        async with running(house.worker()):
            generation = await house.submit("d", b"\x00\x01\x02 no text")
            await house.failure("d")
            await house.ask_again("d", generation)
            await until(house.queue_is_empty)
        assert await house.uploads.read_bytes(TENANT, "d", generation, "content")

    async def test_of_a_deleted_document_removes_what_came_after_its_deletion(self, house: House) -> None:
        generation = await house.submit("d", TEXT)
        await house.submissions.delete(TENANT, "d")

        async def late() -> AsyncIterator[bytes]:
            yield TEXT

        await house.uploads.put(TENANT, "d", generation, "text", late(), max_bytes=2**20)
        async with running(house.worker()):
            await until(house.queue_is_empty)
        with pytest.raises(UploadMissingError):
            await house.uploads.read_bytes(TENANT, "d", generation, "text")


class TestAReplan:
    """It is asked for by a worker, not by the owner, whose word of the meantime counts."""

    async def meanwhile(
        self, entrance: Entrance, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]
    ) -> None:
        """Replan the pending generation; `act` happens when the content is copied and the ledger is not yet written."""
        put = entrance.uploads.put
        first = await entrance.submit(b"old")

        async def put_and_act(*args: object, **options: object) -> StoredUpload:
            monkeypatch.setattr(entrance.uploads, "put", put)
            stored = await put(*args, **options)  # type: ignore[arg-type]  # handed on as they came
            await act()
            return stored

        monkeypatch.setattr(entrance.uploads, "put", put_and_act)
        with pytest.raises(SupersededError):
            await entrance.submissions.resubmit("t", "d", first.generation)

    async def test_does_not_bring_a_deleted_document_back(
        self, entrance: Entrance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.meanwhile(entrance, monkeypatch, lambda: entrance.submissions.delete("t", "d"))
        assert await entrance.state() is DocumentState.DELETED
        await until(lambda: entrance.submissions.unsettled == 0)
        assert await entrance.uploads_left() == 0

    async def test_does_not_replace_a_newer_submission(
        self, entrance: Entrance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.meanwhile(entrance, monkeypatch, lambda: entrance.submit(b"newer"))
        latest = await self.latest(entrance)
        assert await entrance.uploads.read_bytes("t", "d", latest.generation, "content") == b"newer"
        await until(lambda: entrance.submissions.unsettled == 0)
        assert await entrance.uploads_left() == 1

    async def latest(self, entrance: Entrance) -> Generation:
        record = await entrance.ledger.get("t", "d")
        assert record is not None
        return record.latest


class TestASubmissionThatIsRefusedAtTheQueue:
    @pytest.fixture
    def table(self) -> Topology:
        table = brisk()
        tiny = tuple(replace(s, max_bytes=2000) if s.name == topology.INGEST.name else s for s in table.streams)
        return replace(table, streams=tiny)

    async def test_still_ends_the_one_it_has_superseded(self, entrance: Entrance) -> None:
        first = await entrance.submit(b"one")
        await self.fill(entrance)
        with pytest.raises(StreamFullError):
            await entrance.submit(b"two")
        assert (DocumentFact.SUPERSEDED, first.generation) in await entrance.told()
        assert first.generation in await entrance.purged()

    async def fill(self, entrance: Entrance) -> None:
        for i in range(30):
            try:
                await entrance.submit(document_id=f"other-{i}")
            except StreamFullError:
                return
        raise AssertionError("the queue takes everything")
