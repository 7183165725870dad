"""The ingest worker on a real broker: what comes out for each document, and that the worker outlives all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import ClassVar

import pytest

from contracts import subjects, topology
from contracts.documents import (
    DocumentState,
    EmbedRequest,
    Plan,
)
from contracts.errors import ErrorCode
from contracts.events import DocumentFact
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.storage import Storage
from tests.support.ingest_house import TENANT, House
from tests.support.letters import dead_letters
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.ingest import files

SENTENCE = "The broker stores every message before it answers. "
FULL_BYTES = 60_000
LONG = (SENTENCE * 2500).encode()


@pytest.fixture
async def house(broker: Broker, broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[House]:
    house = House(broker, broker_settings, table)
    yield house
    await house.close()


class TestGoodDocuments:
    async def test_a_document_is_planned_and_its_batches_are_published(self, house: House) -> None:
        content = files.pdf([("Heading1", "Report"), ("BodyText", SENTENCE * 20)], [("BodyText", SENTENCE * 20)])
        async with running(house.worker()):
            await house.submit("d", content, name="report.pdf", metadata={"lang": "en"})
            (batch,) = await house.batched("d")
        latest = await house.latest("d")
        assert await house.state("d") is DocumentState.PROCESSING
        assert latest.media_type == "application/pdf"
        assert latest.plan == Plan(
            plan_id=batch.plan_id, batches=1, chunks=len(batch.chunks), pages=2, characters=len(await house.text("d"))
        )
        assert (batch.name, batch.metadata, batch.batch) == ("report.pdf", {"lang": "en"}, 0)
        assert {chunk.heading for chunk in batch.chunks} == {"Report"}
        assert await house.told("d") == [DocumentFact.SUBMITTED, DocumentFact.PLANNED]

    async def test_chunks_are_exactly_their_range_of_the_stored_text(self, house: House) -> None:
        async with running(house.worker()):
            await house.submit(
                "d", "第一章 总则\n\n".encode() + "保障信息系统安全稳定运行，制定本办法。".encode() * 300
            )
            batches = await house.batched("d")
        text = await house.text("d")
        chunks = [chunk for batch in batches for chunk in batch.chunks]
        assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
        assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)

    async def test_long_documents_travel_in_several_batches_of_bounded_size(self, house: House) -> None:
        metadata = {f"key_{n}": "数" * 1024 for n in range(32)}
        async with running(house.worker()):
            await house.submit("d", LONG, metadata=metadata)
            batches = await house.batched("d")
        assert [batch.batch for batch in batches] == list(range(len(batches)))
        assert len(batches) > 1
        assert all(len(batch.to_bytes()) < 256 * 1024 for batch in batches)
        assert all(len(batch.chunks) <= 32 for batch in batches)

    async def test_many_documents_are_read_by_two_workers(self, house: House) -> None:
        async with running(house.worker()), running(house.worker()):
            for number in range(20):
                await house.submit(f"d{number}", f"{SENTENCE} Number {number}.".encode())
            for number in range(20):
                (batch,) = await house.batched(f"d{number}")
                assert f"Number {number}." in batch.chunks[0].text


class TestBadDocuments:
    CASES: ClassVar[dict[ErrorCode, tuple[str, bytes]]] = {
        ErrorCode.EMPTY: ("empty.txt", b""),
        ErrorCode.ENCRYPTED: ("locked.pdf", files.pdf([("BodyText", SENTENCE)], password="secret")),
        ErrorCode.CORRUPT: ("torn.pdf", b"%PDF-1.7\nnothing of the kind"),
        ErrorCode.IMAGE_ONLY: ("scan.pdf", files.image_pdf()),
        ErrorCode.UNSUPPORTED_TYPE: ("archive.pdf", files.archive({"a.bin": b"x"})),
        ErrorCode.TOO_LARGE: ("bomb.docx", files.archive({"word/document.xml": bytes(2**26)})),
    }

    async def test_each_fails_with_its_code_and_the_worker_lives_on(self, house: House) -> None:
        async with running(house.worker()):
            for code, (name, content) in self.CASES.items():
                await house.submit(code.value, content, name=name)
            for code in self.CASES:
                failure = await house.failure(code.value)
                assert failure.code == code
                assert failure.message.endswith(".")
            await house.submit("good", SENTENCE.encode())
            assert len(await house.batched("good")) == 1
            await until(house.queue_is_empty)
        assert {letter.code for letter in await dead_letters(house.broker)} == set(self.CASES)
        assert await house.told("empty_document") == [DocumentFact.SUBMITTED, DocumentFact.FAILED]

    async def test_a_document_whose_upload_is_gone_fails(self, house: House) -> None:
        generation = await house.submit("d", b"Text.")
        await house.uploads.delete(TENANT, "d", generation)
        async with running(house.worker()):
            assert (await house.failure("d")).code == ErrorCode.UPLOAD_MISSING


class TestRepetition:
    async def test_a_redelivered_request_publishes_no_batch_twice(self, house: House) -> None:
        async with running(house.worker()):
            generation = await house.submit("d", LONG)
            first = await house.batched("d")
            await until(house.queue_is_empty)
            await house.ask_again("d", generation)
            await until(house.queue_is_empty, timeout_s=60)
        assert [batch.batch for batch in await house.batches(generation)] == [batch.batch for batch in first]

    async def test_a_worker_that_takes_over_continues_the_same_plan(self, house: House) -> None:
        async with running(house.worker()):
            generation = await house.submit("d", LONG)
            first = await house.batched("d")
            await until(house.queue_is_empty)
        await Storage(house.broker).purge(topology.EMBED.name, subjects.embed_request(TENANT))
        async with running(house.worker()):
            await house.ask_again("d", generation)
            await until(house.queue_is_empty, timeout_s=60)
        latest = await house.latest("d")
        assert latest.plan is not None
        assert latest.plan.plan_id == first[0].plan_id

    async def test_a_plan_that_cannot_be_reproduced_makes_a_new_generation(self, house: House) -> None:
        generation = await house.submit("d", SENTENCE.encode())
        await house.ledger.plan(TENANT, "d", generation, Plan(plan_id="a" * 64, batches=3, chunks=9, characters=99))
        async with running(house.worker()):
            await until(lambda: self._is_new(house, generation), timeout_s=60)
            (batch,) = await house.batched("d")
        assert batch.generation != generation
        assert await house.batches(generation) == []

    async def _is_new(self, house: House, generation: str) -> bool:
        return (await house.latest("d")).generation != generation

    async def test_a_superseded_request_ends_quietly(self, house: House) -> None:
        old = await house.submit("d", b"Old text.")
        new = await house.submit("d", b"New text.")
        async with running(house.worker()):
            await house.batched("d")
            await until(house.queue_is_empty)
        assert await house.batches(old) == []
        assert len(await house.batches(new)) == 1
        assert await dead_letters(house.broker) == []

    async def test_a_deleted_document_ends_quietly_and_leaves_no_upload(self, house: House) -> None:
        await house.submit("d", b"Text.")
        await house.submissions.delete(TENANT, "d")
        async with running(house.worker()):
            await until(house.queue_is_empty)
        assert await dead_letters(house.broker) == []
        assert await Storage(house.broker).count("OBJ_uploads", "$O.uploads.M.*") == 0


class TestBackPressure:
    @pytest.fixture
    def table(self) -> Topology:
        """An embed queue that holds hardly more than one batch."""
        usual = brisk()
        return replace(
            usual,
            streams=tuple(
                replace(stream, max_bytes=FULL_BYTES) if stream.name == topology.EMBED.name else stream
                for stream in usual.streams
            ),
        )

    async def test_while_the_embed_queue_is_full_the_worker_waits_and_loses_nothing(self, house: House) -> None:
        seen: set[int] = set()
        async with running(house.worker()):
            generation = await house.submit("d", LONG)
            await until(lambda: self._is_full(house), timeout_s=60)
            latest = await house.latest("d")
            assert latest.plan is not None
            assert len(await house.batches(generation)) < latest.plan.batches
            while len(seen) < latest.plan.batches:
                seen |= {batch.batch for batch in await self._drained(house, generation)}
            await until(house.queue_is_empty)
        assert await dead_letters(house.broker) == []

    async def _is_full(self, house: House) -> bool:
        """Whether there is no room for one more batch."""
        state = (await house.broker.js.stream_info(topology.EMBED.name)).state
        return state.bytes > FULL_BYTES - 20_000

    async def _drained(self, house: House, generation: str) -> list[EmbedRequest]:
        """Wait for batches, and take them out of the queue as the embed worker would."""
        found: list[EmbedRequest] = []

        async def some() -> bool:
            found[:] = await house.batches(generation)
            return bool(found)

        await until(some, timeout_s=60)
        for message in await Storage(house.broker).following(topology.EMBED.name, subjects.embed_request(TENANT)):
            await house.broker.js.delete_msg(topology.EMBED.name, message.sequence)
            found.append(EmbedRequest.from_bytes(message.data))
        return found


async def test_a_worker_told_to_stop_finishes_the_document_in_hand(house: House) -> None:
    worker = house.worker()
    async with running(worker):
        await house.submit("d", LONG)
        await until(lambda: _planned(house), timeout_s=60)
    assert len(await house.batched("d")) == len({batch.batch for batch in await house.batched("d")})
    await asyncio.wait_for(until(house.queue_is_empty), 60)


async def _planned(house: House) -> bool:
    return (await house.latest("d")).plan is not None
