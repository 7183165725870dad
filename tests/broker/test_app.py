"""What a worker promises about each message it is given."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import subjects, topology
from contracts.documents import PurgeRequest
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.queries import QueryRequest
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.attempts import Attempts
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.gathering import BatchItem
from messaging.pipeline import Pipeline
from tests.support.letters import dead_letters
from tests.support.purges import CONSUMER, QUICK, left, purge, send, send_bytes
from tests.support.topologies import BRISK_ACK_WAIT_S, brisk
from tests.support.waiting import until
from tests.support.workers import running


class Journal:
    """What a handler saw, in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.attempts: list[int] = []
        self.times: list[float] = []

    def note(self, request: PurgeRequest, delivery: Delivery) -> None:
        self.ids.append(request.document_id)
        self.attempts.append(delivery.attempt)
        self.times.append(time.monotonic())


@pytest.fixture
def seen() -> Journal:
    return Journal()


class TestSuccess:
    async def test_a_handled_message_is_gone_from_its_queue(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        @worker.consumes(CONSUMER, PurgeRequest)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)

        async with running(worker):
            await send(broker, "a", "b", "c")
            await until(lambda: len(seen.ids) == 3)
        assert sorted(seen.ids) == ["a", "b", "c"]
        assert await left(broker) == 0
        assert await dead_letters(broker) == []

    async def test_the_delivery_tells_tenant_place_and_time(self, broker: Broker, worker: WorkerApp) -> None:
        deliveries: list[Delivery] = []

        @worker.consumes(CONSUMER, PurgeRequest)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            deliveries.append(delivery)

        async with running(worker):
            before = broker.clock.now()
            await send(broker, "a", tenant="acme")
            await until(lambda: bool(deliveries))
        delivery = deliveries[0]
        assert (delivery.tenant, delivery.stream, delivery.consumer) == ("acme", "EMBED", "purge")
        assert (delivery.sequence, delivery.attempt, delivery.deadline) == (1, 1, None)
        assert delivery.headers["Nats-Msg-Id"] == "a"
        assert abs(delivery.published_at - before) < timedelta(seconds=5)


class TestRetries:
    async def test_a_failed_message_comes_again_after_growing_delays(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        @worker.consumes(CONSUMER, PurgeRequest, delays=replace(QUICK, max_s=10.0))
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            if delivery.attempt < 4:
                raise ValueError("not yet")

        async with running(worker):
            await send(broker, "a")
            await until(lambda: len(seen.ids) == 4)
            await until(lambda: _emptied(broker))
        assert seen.attempts == [1, 2, 3, 4]
        gaps = [after - before for before, after in zip(seen.times, seen.times[1:], strict=False)]
        assert all(gap >= least for gap, least in zip(gaps, (0.04, 0.08, 0.16), strict=True))
        assert await dead_letters(broker) == []

    async def test_a_defect_of_the_way_to_the_handler_is_told_and_costs_an_ack_wait(
        self, broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen, send_on = list[str](), Pipeline.send

        async def broken(*_: Any, **__: Any) -> None:
            monkeypatch.setattr(Pipeline, "send", send_on)
            raise TypeError("a defect")

        @worker.consumes_batches(CONSUMER, PurgeRequest, max_messages=2, gather_s=0.01)
        async def handle(items: list[BatchItem[PurgeRequest]]) -> None:
            seen.extend(item.message.document_id for item in items)

        monkeypatch.setattr(Pipeline, "send", broken)
        with capture_logs() as logs:
            async with running(worker):
                await send(broker, "a")
                await until(lambda: seen == ["a"])
                await send(broker, "b")
                await until(lambda: seen == ["a", "b"])
                await until(lambda: _emptied(broker))
        assert "messages were not handled, they come again" in {line["event"] for line in logs}

    async def test_an_errors_own_delay_wins(self, broker: Broker, worker: WorkerApp, seen: Journal) -> None:
        @worker.consumes(CONSUMER, PurgeRequest, delays=QUICK)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            if delivery.attempt == 1:
                raise TransientError("the backend says when", retry_after_s=0.6)

        async with running(worker):
            await send(broker, "a")
            await until(lambda: len(seen.ids) == 2)
        assert seen.times[1] - seen.times[0] >= 0.6

    async def test_retries_end_with_one_dead_letter_that_counts_them(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        told: list[tuple[str, ErrorCode]] = []

        async def on_dead_letter(request: PurgeRequest, error: PermanentError) -> None:
            told.append((request.document_id, error.code))

        @worker.consumes(CONSUMER, PurgeRequest, on_dead_letter=on_dead_letter, delays=QUICK)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            raise TransientError("the backend is away")

        async with running(worker):
            await send(broker, "a")
            await until(lambda: _emptied(broker))
        (letter,) = await dead_letters(broker)
        assert letter.code == ErrorCode.RETRIES_EXHAUSTED
        assert letter.attempts == CONSUMER.attempts == len(seen.ids)
        assert "the backend is away" in letter.reason
        assert any("TransientError" in line for line in letter.error_chain)
        assert told == [("a", ErrorCode.RETRIES_EXHAUSTED)]


class TestGivingUp:
    async def test_a_permanent_error_is_dead_lettered_at_once(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        @worker.consumes(CONSUMER, PurgeRequest)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            raise PermanentError("never", code=ErrorCode.CORRUPT)

        async with running(worker):
            await send(broker, "a")
            await until(lambda: _emptied(broker))
        (letter,) = await dead_letters(broker)
        assert (letter.code, letter.attempts, letter.reason) == (ErrorCode.CORRUPT, 1, "never")
        assert PurgeRequest.from_bytes(letter.payload).document_id == "a"
        assert letter.headers["Nats-Msg-Id"] == "a"
        assert seen.ids == ["a"]

    async def test_the_owner_is_told_before_the_dead_letter_and_again_if_telling_failed(
        self, broker: Broker, worker: WorkerApp
    ) -> None:
        letters_when_told: list[int] = []

        async def on_dead_letter(_: PurgeRequest, __: PermanentError) -> None:
            letters_when_told.append(len(await dead_letters(broker)))
            if len(letters_when_told) == 1:
                raise ConnectionError("the ledger is away")

        @worker.consumes(CONSUMER, PurgeRequest, on_dead_letter=on_dead_letter, delays=QUICK)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            raise PermanentError("never")

        async with running(worker):
            await send(broker, "a")
            await until(lambda: _emptied(broker))
        assert letters_when_told == [0, 0]
        assert len(await dead_letters(broker)) == 1

    async def test_a_message_that_always_kills_its_process_ends_as_a_dead_letter(
        self, broker: Broker, worker: WorkerApp, table: Topology, seen: Journal
    ) -> None:
        """The deaths are those of a puller that never answers; the last delivery goes to a living worker."""
        pull = await broker.js.pull_subscribe_bind(consumer=CONSUMER.durable, stream=CONSUMER.stream.name)
        await send(broker, "a")
        for _ in range(CONSUMER.attempts):
            (message,) = await pull.fetch(1, timeout=5)
            await Attempts(broker).begin(Delivery.of(message))
            await message.nak()  # as the end of an ack wait does, but at once

        @worker.consumes(CONSUMER, PurgeRequest)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)

        async with running(worker):
            await until(lambda: _emptied(broker))
        (letter,) = await dead_letters(broker)
        assert (letter.code, letter.attempts) == (ErrorCode.RETRIES_EXHAUSTED, CONSUMER.attempts)
        assert seen.ids == []


class TestUnfitMessages:
    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"\xff\xfe\x00",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"document_id": "\\ud800", "generation": "g"}',
            b'{"document_id": "a\\u0000b", "generation": "g"}',
            b'{"schema_version": ' + b"9" * 5000 + b"}",
            b'{"document_id": "a", "generation": "g", "surprise": 1}',
            b'{"generation": "' + b"x" * 900_000 + b'"}',
        ],
        ids=["empty", "binary", "deep-list", "deep-object", "surrogate", "nul", "huge-number", "extra", "oversized"],
    )
    async def test_what_is_no_message_is_dead_lettered_and_the_worker_lives_on(
        self, broker: Broker, worker: WorkerApp, seen: Journal, payload: bytes
    ) -> None:
        told: list[str] = []

        async def on_dead_letter(request: PurgeRequest, _: PermanentError) -> None:
            told.append(request.document_id)

        @worker.consumes(CONSUMER, PurgeRequest, on_dead_letter=on_dead_letter)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)

        async with running(worker):
            await send_bytes(broker, payload)
            await send(broker, "good")
            await until(lambda: _emptied(broker))
        (letter,) = await dead_letters(broker)
        assert letter.code == ErrorCode.INVALID_MESSAGE
        assert payload.startswith(letter.payload)
        assert seen.ids == ["good"]
        assert told == []

    async def test_a_newer_message_is_left_for_a_newer_worker(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        newer = purge("a").to_bytes().replace(b'"schema_version":1', b'"schema_version":2')
        assert b'"schema_version":2' in newer

        @worker.consumes(CONSUMER, PurgeRequest, delays=replace(QUICK, max_s=60))
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)

        async with running(worker):
            await send_bytes(broker, newer)
            await until(lambda: _redelivering(broker))
            await send(broker, "b")
            await until(lambda: seen.ids == ["b"])
            assert await left(broker) == 1
        assert await dead_letters(broker) == []

    async def test_a_newer_message_that_nobody_knows_is_dead_lettered_at_the_limit(
        self, broker: Broker, worker: WorkerApp
    ) -> None:
        @worker.consumes(CONSUMER, PurgeRequest, delays=QUICK)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None: ...

        async with running(worker):
            await send_bytes(broker, b'{"schema_version": 2, "of": "the future"}')
            await until(lambda: _emptied(broker))
        (letter,) = await dead_letters(broker)
        assert letter.code == ErrorCode.RETRIES_EXHAUSTED
        assert "schema version 2" in letter.reason

    async def test_a_body_that_names_another_tenant_reaches_neither_handler_nor_owner(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        told: list[str] = []

        async def on_dead_letter(request: PurgeRequest, _: PermanentError) -> None:
            told.append(request.document_id)

        @worker.consumes(CONSUMER, PurgeRequest, on_dead_letter=on_dead_letter)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)

        async with running(worker):
            await send_bytes(broker, purge("a", tenant="victim").to_bytes(), tenant="attacker")
            await until(lambda: _emptied(broker))
        (letter,) = await dead_letters(broker)
        assert (letter.code, letter.tenant) == (ErrorCode.TENANT_MISMATCH, "attacker")
        assert seen.ids == []
        assert told == []


class TestLongWork:
    async def test_a_handler_longer_than_the_ack_wait_is_given_its_message_once(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        @worker.consumes(CONSUMER, PurgeRequest, concurrency=2)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            await asyncio.sleep(BRISK_ACK_WAIT_S * 2.5)

        async with running(worker):
            await send(broker, "a")
            await until(lambda: _emptied(broker))
        assert seen.attempts == [1]

    async def test_without_beats_the_same_handler_is_given_it_again(
        self, broker: Broker, worker: WorkerApp, seen: Journal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("messaging.middlewares.keep_alive.BEATS_PER_ACK_WAIT", 0.01)

        @worker.consumes(CONSUMER, PurgeRequest, concurrency=2)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            await asyncio.sleep(BRISK_ACK_WAIT_S * 2.5)

        async with running(worker):
            await send(broker, "a")
            await until(lambda: len(seen.attempts) > 1)
        assert seen.attempts[:2] == [1, 2]

    async def test_a_handler_that_hangs_is_cancelled_and_its_message_tried_again(
        self, broker: Broker, worker: WorkerApp, seen: Journal
    ) -> None:
        @worker.consumes(CONSUMER, PurgeRequest, time_limit_s=0.2, delays=QUICK)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            seen.note(request, delivery)
            if delivery.attempt == 1:
                await asyncio.Event().wait()

        async with running(worker):
            await send(broker, "a")
            await until(lambda: _emptied(broker))
        assert seen.attempts == [1, 2]


class TestConcurrency:
    async def test_n_messages_are_worked_on_at_once_and_no_more_are_fetched(
        self, broker: Broker, worker: WorkerApp
    ) -> None:
        release = asyncio.Event()
        started: list[str] = []

        @worker.consumes(CONSUMER, PurgeRequest, concurrency=4)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            started.append(request.document_id)
            await release.wait()

        async with running(worker):
            await send(broker, *(f"d{n}" for n in range(12)))
            await until(lambda: len(started) == 4)
            info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
            assert (info.num_ack_pending, info.num_pending) == (4, 8)
            release.set()
            await until(lambda: _emptied(broker))
        assert sorted(started) == sorted(f"d{n}" for n in range(12))

    async def test_replicas_share_the_work_and_do_none_of_it_twice(
        self, broker: Broker, worker: WorkerApp, table: Topology
    ) -> None:
        other = WorkerApp(worker.settings.model_copy(update={"instance": "worker-2"}), service="tested", table=table)
        done: list[tuple[str, str]] = []
        for app in (worker, other):

            @app.consumes(CONSUMER, PurgeRequest, concurrency=2)
            async def handle(request: PurgeRequest, delivery: Delivery, app: WorkerApp = app) -> None:
                await asyncio.sleep(0.02)
                done.append((request.document_id, app.settings.instance))

        async with running(worker), running(other):
            await send(broker, *(f"d{n}" for n in range(40)))
            await until(lambda: len(done) >= 40)
            await until(lambda: _emptied(broker))
        assert sorted(document for document, _ in done) == sorted(f"d{n}" for n in range(40))
        assert {instance for _, instance in done} == {"worker-1", "worker-2"}


class TestDeadlines:
    @pytest.fixture
    def table(self) -> Topology:
        return brisk()

    async def ask(self, broker: Broker, query: str, *, budget_ms: int | None) -> None:
        request = QueryRequest(query=query)
        headers = {} if budget_ms is None else {subjects.HEADER_BUDGET_MS: str(budget_ms)}
        await broker.publish(
            subjects.query_request("default"),
            request,
            stream=topology.QUERY,
            message_id=request.query_id,
            headers=headers,
        )

    async def test_a_query_found_past_its_deadline_is_reported_and_done(
        self, broker: Broker, worker: WorkerApp
    ) -> None:
        expired: list[str] = []
        handled: list[str] = []

        async def on_expired(request: QueryRequest, delivery: Delivery) -> None:
            assert delivery.deadline is not None
            expired.append(request.query)

        @worker.consumes(topology.QUERY_WORKERS, QueryRequest, on_expired=on_expired)
        async def handle(request: QueryRequest, delivery: Delivery) -> None:
            handled.append(request.query)

        await self.ask(broker, "too late", budget_ms=0)
        await self.ask(broker, "in time", budget_ms=60_000)
        await self.ask(broker, "by default", budget_ms=None)
        async with running(worker):
            await until(lambda: len(handled) == 2 and len(expired) == 1)
            await until(lambda: _drained(broker, "QUERY"))
        assert (expired, sorted(handled)) == (["too late"], ["by default", "in time"])
        assert await dead_letters(broker) == []

    async def test_a_handler_that_reaches_the_deadline_is_cancelled(self, broker: Broker, worker: WorkerApp) -> None:
        ended: list[str] = []

        async def on_expired(request: QueryRequest, delivery: Delivery) -> None:
            ended.append("expired")

        @worker.consumes(topology.QUERY_WORKERS, QueryRequest, on_expired=on_expired)
        async def handle(request: QueryRequest, delivery: Delivery) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        async with running(worker):
            await self.ask(broker, "slow", budget_ms=300)
            await until(lambda: ended == ["cancelled", "expired"])
            await until(lambda: _drained(broker, "QUERY"))

    async def test_a_deadline_in_the_body_counts_where_the_worker_says_so(
        self, broker: Broker, worker: WorkerApp
    ) -> None:
        seen: list[float | None] = []

        @worker.consumes(
            topology.QUERY_WORKERS, QueryRequest, deadline_of=lambda _, d: d.published_at + timedelta(seconds=42)
        )
        async def handle(request: QueryRequest, delivery: Delivery) -> None:
            seen.append(delivery.remaining_s(broker.clock))

        async with running(worker):
            await self.ask(broker, "when", budget_ms=0)
            await until(lambda: bool(seen))
        assert seen[0] is not None
        assert 30 < seen[0] < 43  # our estimate of the broker's clock may be off by a moment


async def _drained(broker: Broker, stream: str) -> bool:
    return (await broker.js.stream_info(stream)).state.messages == 0


async def _emptied(broker: Broker) -> bool:
    return await left(broker) == 0


async def _redelivering(broker: Broker) -> bool:
    """The message has been handed out and given back."""
    info = await broker.js.consumer_info(CONSUMER.stream.name, CONSUMER.durable)
    return info.delivered is not None and info.delivered.consumer_seq >= 1
