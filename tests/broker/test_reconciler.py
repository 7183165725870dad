"""Documents, messages and letters that do not fit together, on a real broker: found, told and put right."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.documents import DocumentState, EmbedRequest, IngestRequest
from contracts.errors import ErrorCode
from contracts.events import DocumentFact
from contracts.identifiers import digest
from contracts.queries import GenerateRequest, GenerationParameters, QueryRequest, RetrievedPassage
from contracts.reconciliation import Remedy
from contracts.settings import BrokerSettings, KeeperSettings
from contracts.topology import MiB, Topology
from messaging.broker import Broker
from messaging.queries import Queries
from messaging.requeueing import Requeueing
from messaging.storage import Storage
from tests.broker.embedding_stage import chunks
from tests.broker.test_exhaustion import use_up
from tests.support.ingest_house import TENANT, House
from tests.support.letters import dead_letters
from tests.support.reconciling import AT_ONCE, done, found, reconciling, told
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.keeper.acceptance import deadline_of
from workers.keeper.reconciliation.documents import MOST_REDRIVES
from workers.keeper.reconciliation.reconciler import Reconciler
from workers.keeper.worker import build

TEXT = b"Bees dance. The dance tells the way."


@pytest.fixture
def table() -> Topology:
    return brisk(ack_wait_s=0.3, max_deliver=2)


@pytest.fixture
async def house(broker: Broker, broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[House]:
    house = House(broker, broker_settings, table)
    yield house
    await house.close()


@pytest.fixture
async def reconciler(broker: Broker, table: Topology) -> AsyncIterator[Reconciler]:
    async with reconciling(broker, table=table) as ours:
        yield ours


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def lose(broker: Broker, stream: topology.Stream) -> None:
    """Empty a queue, as somebody did who meant well."""
    await broker.js.purge_stream(stream.name)


async def forget_ids(broker: Broker, stream: topology.Stream) -> None:
    """Have the broker forget which messages it has seen, as it does after two minutes."""
    info = await broker.js.stream_info(stream.name)
    for window_s in (0.1, info.config.duplicate_window):
        await broker.js.update_stream(replace(info.config, duplicate_window=window_s))
        if window_s == 0.1:
            seen = info.state.last_seq

            async def is_taken() -> bool:
                headers = {subjects.HEADER_MESSAGE_ID: "probe"}
                await broker.publish_bytes(f"{stream.subjects[0][:-1]}probe", b"", stream=stream.name, headers=headers)
                return (await broker.js.stream_info(stream.name)).state.last_seq >= seen + 2  # noqa: B023 (awaited at once)

            await until(is_taken)
    await broker.js.purge_stream(stream.name, subject=f"{stream.subjects[0][:-1]}probe")


ODD_HEADER = ("a(b", b"{}")
ALMOST_TOO_LARGE = ("a", b"x" * (MiB - 60))
SOME_HEADERS_BYTES = 64


async def send_raw(settings: BrokerSettings, subject: str, header: str, payload: bytes) -> None:
    """Publish as a client may that is less strict than ours."""
    address = urlsplit(settings.nats_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"NATS/1.0\r\n{header}\r\n\r\n".encode()
    command = f"HPUB {subject} {len(head)} {len(head) + len(payload)}\r\n".encode()
    writer.write(b'CONNECT {"verbose": false, "headers": true}\r\n' + command + head + payload + b"\r\nPING\r\n")
    while await reader.readline() != b"PONG\r\n":
        pass
    writer.close()


class TestDocuments:
    async def test_one_whose_request_was_never_published_is_asked_for_again(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        """What a gateway leaves that dies between its two writes."""
        generation = await house.submit("bees", TEXT)
        await lose(broker, topology.INGEST)
        await forget_ids(broker, topology.INGEST)
        assert await found(reconciler) == [(Remedy.REDRIVE, "bees")]
        assert await done(reconciler) == [(Remedy.REDRIVE, "bees")]
        (stored,) = await Storage(broker).following(topology.INGEST.name, subjects.ingest_request(TENANT))
        assert IngestRequest.from_bytes(stored.data).generation == generation
        (event,) = await told(broker)
        assert (event.remedy, event.document_id, event.generation) == (Remedy.REDRIVE, "bees", generation)
        assert await found(reconciler) == []

    async def test_one_whose_batches_were_lost_is_read_again_under_the_same_plan(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        async with running(house.worker()):
            before = await house.batched("bees")
            await until(house.queue_is_empty)
            await lose(broker, topology.EMBED)
            await forget_ids(broker, topology.EMBED)
            await forget_ids(broker, topology.INGEST)
            assert await done(reconciler) == [(Remedy.REDRIVE, "bees")]
            after = await house.batched("bees")
        assert [(b.plan_id, b.batch, b.chunks) for b in after] == [(b.plan_id, b.batch, b.chunks) for b in before]

    async def test_what_waits_in_a_queue_is_left_alone(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("waiting-for-ingest", TEXT)
        assert await found(reconciler) == []
        async with running(house.worker()):
            await house.batched("waiting-for-ingest")
            await until(house.queue_is_empty)
        assert await found(reconciler) == []  # its batches wait for embed

    async def test_one_whose_batches_are_gone_is_found_behind_those_of_others(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("lost", TEXT)
        async with running(house.worker()):
            await house.batched("lost")
            await until(house.queue_is_empty)
            assert await found(reconciler) == []
            await lose(broker, topology.EMBED)
            await house.submit("later", TEXT)
            await house.batched("later")
            await until(house.queue_is_empty)
        assert await found(reconciler) == [(Remedy.REDRIVE, "lost")]

    async def test_what_changed_just_now_is_left_alone(self, house: House, broker: Broker, table: Topology) -> None:
        await house.submit("bees", TEXT)
        await lose(broker, topology.INGEST)
        async with reconciling(broker, table=table, rhythm=replace(AT_ONCE, settled_s=60)) as patient:
            assert await found(patient) == []

    async def test_one_on_which_asking_again_has_no_effect_ends_failed(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        for _ in range(MOST_REDRIVES):
            await lose(broker, topology.INGEST)
            await forget_ids(broker, topology.INGEST)
            assert await done(reconciler) == [(Remedy.REDRIVE, "bees")]
            assert await found(reconciler) == []  # it waits in the queue, and that is not forgotten
        await lose(broker, topology.INGEST)
        assert await done(reconciler) == [(Remedy.FAIL, "bees")]
        failure = await house.failure("bees")
        assert failure.code == ErrorCode.RETRIES_EXHAUSTED
        assert "submit it again" in failure.message
        assert DocumentFact.FAILED in await house.told("bees")
        assert await found(reconciler) == []

    async def test_a_request_that_the_broker_took_for_a_repetition_is_not_counted(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        await lose(broker, topology.INGEST)
        for _ in range(MOST_REDRIVES + 2):
            assert await done(reconciler) == [(Remedy.REDRIVE, "bees")]
        assert await house.state("bees") is DocumentState.SUBMITTED

    async def test_a_queue_that_was_made_anew_holds_nothing_of_before(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("lost", TEXT)
        async with running(house.worker()):
            await house.batched("lost")
            await until(house.queue_is_empty)
            assert await found(reconciler) == []
            config = (await broker.js.stream_info(topology.EMBED.name)).config
            await broker.js.delete_stream(topology.EMBED.name)
            await broker.js.add_stream(config)
            await house.submit("later", TEXT)
            await house.batched("later")
            await until(house.queue_is_empty)
            assert await found(reconciler) == []
            await broker.js.purge_stream(topology.EMBED.name)
        assert (Remedy.REDRIVE, "lost") in await found(reconciler)

    async def test_a_record_that_cannot_be_read_is_told_and_hides_no_other(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        await lose(broker, topology.INGEST)
        await broker.publish_bytes("$KV.documents.t.newer", b'{"shape": "of tomorrow"}', stream="KV_documents")
        await house.uploads.put(TENANT, "newer", "g1", "content", _once(b"x"), max_bytes=10)
        survey = await reconciler.survey()
        assert {(f.remedy, f.document_id) for f in survey.findings} == {(Remedy.REDRIVE, "bees"), (Remedy.HOLD, None)}
        assert set(survey.unseen) == {"index"}

    async def test_documents_that_have_ended_are_left_alone(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("deleted", TEXT)
        await house.submissions.delete(TENANT, "deleted")
        await house.submit("failed", b"")
        async with running(house.worker()):
            await house.failure("failed")
        assert [f for f in await found(reconciler) if f[0] in (Remedy.REDRIVE, Remedy.FAIL)] == []


class TestMessages:
    async def test_one_that_is_delivered_no_more_is_handed_out_anew(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        await use_up(broker, topology.INGEST_WORKERS)
        await lose(broker, topology.ADVISORIES)
        (before,) = await Storage(broker).following(topology.INGEST.name, ">")
        assert [remedy for remedy, _ in await done(reconciler)] == [Remedy.REDRIVE]
        (after,) = await Storage(broker).following(topology.INGEST.name, ">")
        assert (after.subject, after.data) == (before.subject, before.data)
        assert await found(reconciler) == []
        async with running(house.worker()):
            await until(house.queue_is_empty)
        assert await dead_letters(broker) == []

    async def test_two_that_hand_it_out_anew_at_once_store_it_once(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        await use_up(broker, topology.INGEST_WORKERS)
        storage = Storage(broker)
        (stored,) = await storage.following(topology.INGEST.name, ">")
        await asyncio.gather(*(Requeueing(broker, storage).requeue(stored, topology.INGEST.name) for _ in range(4)))
        assert await storage.count(topology.INGEST.name, ">") == 1

    async def test_a_question_that_is_handed_out_anew_keeps_its_deadline(
        self, broker: Broker, reconciler: Reconciler
    ) -> None:
        await Queries(broker).ask(QueryRequest(tenant=TENANT, query_id="q", query="How?"), budget_s=30)
        (before,) = await Storage(broker).following(topology.QUERY.name, ">")
        await use_up(broker, topology.QUERY_WORKERS)
        assert [remedy for remedy, _ in await done(reconciler)] == [Remedy.REDRIVE]
        (after,) = await Storage(broker).following(topology.QUERY.name, ">")
        assert after.headers[subjects.HEADER_QUERY_ID] == before.headers[subjects.HEADER_QUERY_ID]
        moved = deadline_of(after.headers, after.stored_at) - deadline_of(before.headers, before.stored_at)
        assert abs(moved) < timedelta(seconds=0.5)

    async def test_one_that_comes_to_lie_there_again_becomes_a_letter(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        for remedy in (Remedy.REDRIVE, Remedy.DEAD_LETTER):
            await use_up(broker, topology.INGEST_WORKERS)
            await lose(broker, topology.ADVISORIES)
            assert (await found(reconciler))[0][0] is remedy
            assert (await done(reconciler))[0][0] is remedy
        (letter,) = await dead_letters(broker)
        assert (letter.code, letter.attempts, letter.tenant) == (ErrorCode.RETRIES_EXHAUSTED, 2, TENANT)
        assert await house.state("bees") is DocumentState.FAILED
        assert await house.queue_is_empty()
        assert await found(reconciler) == []

    @pytest.mark.parametrize("message", [ODD_HEADER, ALMOST_TOO_LARGE], ids=["odd header", "almost too large"])
    async def test_one_that_cannot_be_stored_anew_becomes_a_letter_at_once(
        self, broker: Broker, broker_settings: BrokerSettings, reconciler: Reconciler, message: tuple[str, bytes]
    ) -> None:
        name, payload = message
        await send_raw(broker_settings, subjects.ingest_request(TENANT), f"{name}: x", payload)
        await until(lambda: Storage(broker).count(topology.INGEST.name, ">"))
        await use_up(broker, topology.INGEST_WORKERS)
        await lose(broker, topology.ADVISORIES)
        assert len(await done(reconciler)) == 1
        (letter,) = await dead_letters(broker)
        assert "could not be put into its queue anew" in letter.reason
        assert await found(reconciler) == []
        assert broker.nc.stats["reconnects"] == 0

    async def test_in_a_queue_that_is_full_of_them_the_first_makes_room(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        for n in range(4):
            await house.submit(f"d{n}", TEXT)
        await use_up(broker, topology.INGEST_WORKERS, messages=4)
        await lose(broker, topology.ADVISORIES)
        info = await broker.js.stream_info(topology.INGEST.name)
        await broker.js.update_stream(replace(info.config, max_bytes=info.state.bytes + SOME_HEADERS_BYTES))
        await done(reconciler)
        given_up = len(await dead_letters(broker))
        assert 0 < given_up < 4

        async def none_is_left() -> bool:
            await done(reconciler)
            return await house.queue_is_empty()

        async with running(house.worker()):
            await until(none_is_left)
        assert len(await dead_letters(broker)) == given_up

    async def test_batches_that_are_handed_out_anew_are_not_taken_for_lost(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        await house.submit("bees", TEXT)
        async with running(house.worker()):
            await house.batched("bees")
            await until(house.queue_is_empty)
        assert await found(reconciler) == []
        await use_up(broker, topology.EMBED_WORKERS)
        await lose(broker, topology.ADVISORIES)
        assert await done(reconciler) == [(Remedy.REDRIVE, None)]
        assert await found(reconciler) == []

    async def test_what_is_in_flight_or_waits_is_left_alone(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        for n in range(3):
            await house.submit(f"d{n}", TEXT)
        pulled = await broker.js.pull_subscribe_bind("ingest", "INGEST")
        first, second = await pulled.fetch(2)
        await second.ack()
        assert Remedy.DEAD_LETTER not in {remedy for remedy, _ in await found(reconciler)}
        await first.nak(delay=60)
        assert Remedy.DEAD_LETTER not in {remedy for remedy, _ in await found(reconciler)}


def letter(sequence: int, subject: str, payload: bytes, *, tenant: str = TENANT) -> DeadLetter:
    return DeadLetter(
        message_id=f"{sequence}-1764028800000",
        tenant=tenant,
        stream="EMBED",
        consumer="embed",
        subject=subject,
        stream_sequence=sequence,
        attempts=1,
        code="internal_error",
        reason="it went wrong",
        failed_at=datetime.now(UTC),
        payload=b64encode(payload),
    )


async def put(broker: Broker, *letters: DeadLetter) -> None:
    for one in letters:
        subject = subjects.dead_letter(one.stream, one.message_id)
        await broker.publish(subject, one, stream=topology.DLQ, message_id=one.message_id)


class TestLetters:
    async def test_those_that_hold_text_of_a_deleted_document_go(
        self, house: House, broker: Broker, reconciler: Reconciler
    ) -> None:
        generation = await house.submit("deleted", TEXT)
        await house.submit("kept", TEXT)
        passages = (_passage("kept"), _passage("deleted"))
        asked = GenerateRequest(
            tenant=TENANT,
            query_id="q",
            query="?",
            passages=passages,
            deadline=datetime.now(UTC),
            generation=GenerationParameters(),
        )
        batch = _batch("deleted", generation)
        await put(
            broker,
            letter(1, subjects.embed_request(TENANT), batch.to_bytes()),
            letter(2, subjects.embed_request(TENANT), batch.to_bytes()[:-20]),  # only its beginning was kept
            letter(3, subjects.generate_request(TENANT), asked.to_bytes()),
            letter(4, subjects.embed_request(TENANT), _batch("kept", "g").to_bytes()),
            letter(5, subjects.embed_request("other"), batch.to_bytes(), tenant="other"),
        )
        assert Remedy.REMOVE_LETTER not in {remedy for remedy, _ in await found(reconciler)}
        await house.submissions.delete(TENANT, "deleted")
        assert (Remedy.REMOVE_LETTER, "deleted") in await done(reconciler)
        assert [kept.stream_sequence for kept in await dead_letters(broker)] == [4, 5]
        await broker.js.purge_stream(topology.DLQ.name)
        await house.submissions.delete(TENANT, "kept")  # its letter was dropped meanwhile: nothing to put right
        assert Remedy.REMOVE_LETTER not in {remedy for remedy, _ in await found(reconciler)}


def _batch(document_id: str, generation: str) -> EmbedRequest:
    return EmbedRequest(
        tenant=TENANT,
        document_id=document_id,
        generation=generation,
        plan_id=digest("plan"),
        batch=0,
        name="bees.txt",
        metadata={"document_id": "kept"},
        chunks=tuple(chunks('It says "document_id": "kept".')),
    )


def _passage(document_id: str) -> RetrievedPassage:
    return RetrievedPassage(
        chunk_id="c", document_id=document_id, generation="g", name="x", ordinal=0, text="t", score=1, start=0, end=1
    )


class TestTwoKeepers:
    async def test_one_of_them_leads_and_puts_it_right(
        self, house: House, broker: Broker, broker_settings: BrokerSettings, table: Topology
    ) -> None:
        async with AsyncExitStack() as stack:
            for n in (1, 2):
                settings = KeeperSettings(nats_url=broker_settings.nats_url, instance=f"k{n}", drain_timeout_s=5)
                await stack.enter_async_context(running(build(settings, table=table, rhythm=AT_ONCE)))
            await house.submit("bees", TEXT)
            await use_up(broker, topology.INGEST_WORKERS)

            async def has_failed() -> bool:
                return await house.state("bees") is DocumentState.FAILED

            await until(has_failed)
            lease = await Storage(broker).last("KV_leases", "$KV.leases.reconciler")
            assert lease is not None
            assert lease.data.startswith((b"k1 ", b"k2 "))

    async def test_two_reconcilers_at_once_do_no_harm(
        self, house: House, broker: Broker, table: Topology, reconciler: Reconciler
    ) -> None:
        for n in range(5):
            await house.submit(f"d{n}", TEXT)
        await lose(broker, topology.INGEST)
        await forget_ids(broker, topology.INGEST)
        async with reconciling(broker, table=table) as other:
            await asyncio.gather(done(reconciler), done(other))
        async with running(house.worker()):
            for n in range(5):
                assert len(await house.batched(f"d{n}")) == 1
        assert await dead_letters(broker) == []
