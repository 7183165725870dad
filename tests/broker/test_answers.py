"""Answers are read live and later, once and in order, to their one terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.answers import Completed, Delta, Failed, Retrieved
from contracts.errors import ErrorCode
from contracts.queries import QueryRequest
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging import answers as module
from messaging.answers import AnswerPublisher, AnswerReader, AnswerTimeoutError, AnyEvent
from messaging.broker import Broker
from messaging.queries import Queries
from messaging.terminals import Terminals
from tests.support.outages import crash, outage
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until


class Desk:
    """Writes and reads the answers of tenant `t`."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.publisher = AnswerPublisher(broker)
        self.reader = AnswerReader(broker)
        self.terminals = Terminals(broker)

    async def passages(self, query_id: str = "q") -> None:
        await self.publisher.retrieved(Retrieved(tenant="t", query_id=query_id, passages=()))

    async def write(self, *ids: str, query_id: str = "q") -> None:
        for event_id in ids:
            await self.publisher.delta(Delta(tenant="t", query_id=query_id, id=event_id, text=f"<{event_id}>"))

    async def complete(self, query_id: str = "q") -> None:
        await self.publisher.flush("t", query_id)
        await self.terminals.end(Completed(tenant="t", query_id=query_id, answer="whole"))

    async def read(self, *, query_id: str = "q", after: str | None = None, timeout_s: float = 10.0) -> list[str]:
        return [name(e) async for e in self.reader.read("t", query_id, after=after, timeout_s=timeout_s)]


def name(event: AnyEvent) -> str:
    return event.id if isinstance(event, Retrieved | Delta) else event.kind


async def collect(events: AsyncIterator[AnyEvent], into: list[str]) -> None:
    async for event in events:
        into.append(name(event))  # noqa: PERF401 (seen while it goes on)


@pytest.fixture
def desk(broker: Broker) -> Desk:
    return Desk(broker)


async def test_a_reader_that_opened_before_asking_sees_everything_live(desk: Desk, broker: Broker) -> None:
    async with desk.reader.open("t", "q") as stream:
        await Queries(broker).ask(QueryRequest(tenant="t", query_id="q", query="How?"))
        await desk.passages()
        await desk.write("1.1", "1.2", "1.3")
        await desk.complete()
        seen = [name(e) async for e in stream.events(timeout_s=10)]
    assert seen == ["0.1", "1.1", "1.2", "1.3", "completed"]


async def test_deltas_arrive_while_the_answer_is_still_being_written(desk: Desk) -> None:
    async with desk.reader.open("t", "q") as stream:
        events = stream.events(timeout_s=10)
        for event_id in ("1.1", "1.2"):
            await desk.write(event_id)
            assert name(await anext(events)) == event_id


async def test_passages_that_were_missed_are_read_from_the_stream_before_the_end(desk: Desk) -> None:
    await desk.passages()
    async with desk.reader.open("t", "q") as stream:
        await desk.complete()
        assert [name(e) async for e in stream.events(timeout_s=10)] == ["0.1", "completed"]


async def test_an_answer_is_read_whole_after_it_ended(desk: Desk) -> None:
    await desk.passages()
    await desk.write("1.1", "1.2")
    await desk.complete()
    assert await desk.read() == ["0.1", "1.1", "1.2", "completed"]


async def test_a_reader_resumes_after_the_last_event_it_has(desk: Desk) -> None:
    await desk.passages()
    await desk.write("1.1", "1.2", "1.3")
    await desk.complete()
    assert await desk.read(after="1.2") == ["1.3", "completed"]
    assert await desk.read(after="1.3") == ["completed"]


async def test_a_resumed_reader_goes_on_live(desk: Desk) -> None:
    await desk.write("1.1", "1.2")
    seen: list[str] = []
    reading = asyncio.create_task(collect(desk.reader.read("t", "q", after="1.1", timeout_s=10), seen))
    await until(lambda: seen == ["1.2"])
    await desk.write("1.3")
    await desk.complete()
    await reading
    assert seen == ["1.2", "1.3", "completed"]


async def test_repeats_and_pieces_of_an_older_attempt_are_dropped(desk: Desk) -> None:
    await desk.write("1.1", "1.2", "2.1", "1.3", "2.1", "2.2")
    await desk.complete()
    assert await desk.read() == ["1.1", "1.2", "2.1", "2.2", "completed"]


async def test_two_readers_see_the_same(desk: Desk) -> None:
    reading = [asyncio.create_task(desk.read()) for _ in range(2)]
    await desk.write("1.1", "1.2")
    await desk.complete()
    assert await asyncio.gather(*reading) == [["1.1", "1.2", "completed"]] * 2


async def test_equal_query_ids_of_two_tenants_are_read_apart(desk: Desk) -> None:
    await desk.terminals.end(Completed(tenant="other", query_id="q", answer="not for t"))
    await desk.complete()
    [event] = [e async for e in desk.reader.read("t", "q", timeout_s=10)]
    assert isinstance(event, Completed)
    assert event.answer == "whole"


async def test_a_long_answer_is_read_whole(desk: Desk) -> None:
    ids = [f"1.{n}" for n in range(1, 601)]
    await desk.write(*ids)
    await desk.complete()
    assert await desk.read() == [*ids, "completed"]


async def test_a_reader_that_falls_behind_catches_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READER_BACKLOG", 4)
    ids = [f"1.{n}" for n in range(1, 101)]
    async with desk.reader.open("t", "q") as stream:
        await desk.write(*ids)
        await desk.complete()
        seen = [name(e) async for e in stream.events(timeout_s=10)]
    assert seen == [*ids, "completed"]


async def test_without_an_end_the_reader_is_told_in_time(desk: Desk) -> None:
    with pytest.raises(AnswerTimeoutError, match=r"q has not ended within 0\.3 s"):
        await desk.read(timeout_s=0.3)


async def test_an_id_that_is_none_is_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match="id of an answer event"):
        await desk.read(after="next")


async def test_what_cannot_be_read_is_passed_over(desk: Desk, broker: Broker) -> None:
    await broker.publish_bytes("rag.answers.t.q", b"not json", stream="ANSWERS")
    await desk.complete()
    assert await desk.read() == ["completed"]


async def test_a_failed_query_ends_its_reader_too(desk: Desk) -> None:
    failed = Failed(tenant="t", query_id="q", code=ErrorCode.GENERATION_FAILED, message="no", retryable=True)
    await desk.terminals.end(failed)
    assert [e async for e in desk.reader.read("t", "q", timeout_s=10)] == [failed]


async def test_nothing_is_missed_over_a_crash_of_the_broker(
    desk: Desk, broker: Broker, nats_server: NatsServer
) -> None:
    seen: list[str] = []
    async with desk.reader.open("t", "q") as stream:
        reading = asyncio.create_task(collect(stream.events(timeout_s=20), seen))
        await desk.write("1.1")
        await until(lambda: seen == ["1.1"])
        await crash(nats_server, broker)
        await desk.write("1.2")
        await desk.complete()
        await reading
    assert seen == ["1.1", "1.2", "completed"]


async def test_what_was_published_while_the_reader_was_away_is_read_from_the_stream(
    desk: Desk, broker_settings: BrokerSettings
) -> None:
    """The reader's connection is cut alone; the answer goes on and ends meanwhile."""
    reader_side = Desk(await Broker.connect(broker_settings, name="reader", on_closed=lambda: None))
    seen: list[str] = []
    try:
        async with reader_side.reader.open("t", "q") as stream:
            await known_to_broker(reader_side.broker)  # else it may hear of the answer before it hears of the reader
            reading = asyncio.create_task(collect(stream.events(timeout_s=20), seen))
            await desk.write("1.1")
            await until(lambda: seen == ["1.1"])
            before = reader_side.broker.nc.stats["reconnects"]
            transport = reader_side.broker.nc._transport
            assert transport is not None
            transport.close()
            await until(lambda: _was_away(reader_side.broker, before))
            await desk.write("1.2")
            await desk.complete()
            await reading
    finally:
        await reader_side.broker.close()
    assert seen == ["1.1", "1.2", "completed"]


def _was_away(broker: Broker, reconnects_before: int) -> bool:
    """Whether the connection is lost, or was and is back already."""
    return not broker.is_connected or broker.nc.stats["reconnects"] > reconnects_before


async def test_pieces_lost_while_the_broker_is_away_do_not_stop_the_answer(
    desk: Desk, broker: Broker, nats_server: NatsServer
) -> None:
    async with outage(nats_server, broker):
        await desk.write("1.1", "1.2")
    await desk.complete()
    assert await desk.read() == ["completed"]


async def test_nothing_is_remembered_of_answers_that_are_written(desk: Desk) -> None:
    for n in range(20):
        await desk.write("1.1", "1.2", query_id=f"q{n}")
        await desk.complete(f"q{n}")
    assert desk.publisher.unacknowledged == 0


async def test_an_answer_whose_query_is_called_end_is_read_like_any_other(desk: Desk) -> None:
    async with desk.reader.open("t", "end") as answer:
        await desk.write("1.1", "1.2", query_id="end")
        await desk.complete(query_id="end")
        assert [name(event) async for event in answer.events(timeout_s=10)] == ["1.1", "1.2", "completed"]
