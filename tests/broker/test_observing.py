"""Questions to the observer that leads, through a real broker: answers, refusals, and each way in which there is none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from opentelemetry.metrics import NoOpMeter

from contracts import subjects
from contracts.observing import MOST_CHARACTERS, ErrorType, ObserverReplyPart, Parameters, RequestKind
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.observing import (
    Answer,
    AnswerLostError,
    Handler,
    NoObserverError,
    ObserverDesk,
    ObserverOffice,
    ObserverSlowError,
    RefusedError,
)
from messaging.observing.answers import parts_of
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until

LARGE = os.urandom(2_000_000).hex().encode()

Open = Callable[..., AbstractAsyncContextManager[ObserverOffice]]


@pytest.fixture
async def broker(broker_settings: BrokerSettings) -> AsyncIterator[Broker]:
    """Nothing is provisioned: questions need no streams."""
    broker = await Broker.connect(broker_settings, name="test", on_closed=lambda: None)
    yield broker
    await broker.close()


@pytest.fixture
def open_office(broker: Broker) -> Open:
    @asynccontextmanager
    async def opened(
        handlers: dict[RequestKind, Handler],
        *,
        instance: str = "observer-1",
        most_at_once: int = 4,
        most_waiting: int = 64,
    ) -> AsyncIterator[ObserverOffice]:
        office = ObserverOffice(
            broker,
            handlers,
            instance=instance,
            meter=NoOpMeter("test"),
            most_at_once=most_at_once,
            most_waiting=most_waiting,
        )
        answering = asyncio.create_task(office.run())
        await asyncio.sleep(0)
        await known_to_broker(broker)
        try:
            yield office
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    return opened


@pytest.fixture
def desk(broker: Broker) -> ObserverDesk:
    return ObserverDesk(broker, grace_s=2.0)


async def told(parameters: Parameters) -> Answer:
    return Answer.document({"status": "success", "data": {name: list(values) for name, values in parameters.items()}})


async def large(_: Parameters) -> Answer:
    return Answer(body=LARGE, media_type="text/plain")


async def refusing(_: Parameters) -> Answer:
    raise RefusedError(ErrorType.NOT_FOUND, "there is no such thing")


async def away(_: Parameters) -> Answer:
    raise BrokerUnavailableError("the broker's streams cannot be read")


async def broken(_: Parameters) -> Answer:
    raise ZeroDivisionError


async def malformed(_: Parameters) -> Answer:
    return Answer(body=b"", status=999)


async def endless(_: Parameters) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


async def test_questions_are_answered_and_errors_come_as_what_they_are(open_office, desk, nats_server: NatsServer):
    handlers = {
        RequestKind.QUERY: told,
        RequestKind.SERIES: large,
        RequestKind.ALERTS: refusing,
        RequestKind.HISTORY: away,
        RequestKind.FIGURES: broken,
        RequestKind.METADATA: malformed,
        RequestKind.RULES: endless,
    }
    async with open_office(handlers):
        answer = await desk.ask(RequestKind.QUERY, {"query": ["up"], "match[]": ["a", "b"]})
        assert (answer.status, answer.body) == (
            200,
            b'{"status":"success","data":{"query":["up"],"match[]":["a","b"]}}',
        )
        answers = await asyncio.gather(*(desk.ask(kind) for kind in (RequestKind.SERIES, RequestKind.QUERY) * 3))
        assert [answer.body == LARGE for answer in answers] == [True, False] * 3

        problems = {
            kind: (await desk.ask(kind, timeout_s=0.2)).problem()
            for kind in handlers
            if kind not in {"query", "series"}
        }
        assert problems == {
            RequestKind.ALERTS: (ErrorType.NOT_FOUND, "there is no such thing"),
            RequestKind.HISTORY: (ErrorType.UNAVAILABLE, "the broker's streams cannot be read"),
            RequestKind.FIGURES: (ErrorType.INTERNAL, "ZeroDivisionError: the observer's log has the reason"),
            RequestKind.METADATA: (ErrorType.INTERNAL, "ValidationError: the observer's log has the reason"),
            RequestKind.RULES: (ErrorType.TIMEOUT, "no answer within 0.2 s"),
        }
        assert (await desk.ask(RequestKind.LABELS)).problem()[0] is ErrorType.NOT_FOUND
        beyond = await desk.ask(RequestKind.QUERY, {"query": ["x" * (MOST_CHARACTERS + 1)]})
        assert (beyond.problem()[0], "at most" in beyond.problem()[1]) == (ErrorType.BAD_DATA, True)

    with pytest.raises(NoObserverError, match="waggle worker observer"):
        await desk.ask(RequestKind.QUERY)
    nats_server.kill()
    await until(lambda: not desk._broker.is_connected)
    with pytest.raises(BrokerUnavailableError):
        await desk.ask(RequestKind.QUERY)


async def test_more_questions_than_can_be_taken_are_told_to_come_again(open_office, desk):
    running = asyncio.Event()

    async def slow(parameters: Parameters) -> Answer:
        await running.wait()
        return await told(parameters)

    opened = open_office({RequestKind.QUERY: slow}, most_at_once=1, most_waiting=2)
    async with opened as office, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(desk.ask(RequestKind.QUERY)) for _ in range(2)]
        await until(lambda: office._in_hand == 2)
        refused = await desk.ask(RequestKind.QUERY)
        running.set()
    assert refused.problem()[0] is ErrorType.UNAVAILABLE
    assert "too many" in refused.problem()[1]
    assert [(await task).status for task in asked] == [200, 200]


async def test_garbage_and_questions_without_a_reply_subject_do_no_harm(open_office, broker, desk):
    async with open_office({RequestKind.QUERY: told}):
        await broker.nc.publish(subjects.observer_request(RequestKind.QUERY), b"{}")
        reply = await broker.nc.request(subjects.observer_request(RequestKind.QUERY), b"\xff{", timeout=5)
        part = ObserverReplyPart.from_bytes(reply.data)
        assert (part.status, b"bad_data" in part.data) == (400, True)
        assert (await desk.ask(RequestKind.QUERY)).status == 200


async def test_of_two_that_believe_to_lead_the_first_that_answers_is_heard(open_office, desk):
    async with open_office({RequestKind.SERIES: endless}, instance="stopped"):
        with pytest.raises(ObserverSlowError, match="did not answer"):
            await ObserverDesk(desk._broker, grace_s=-0.5).ask(RequestKind.SERIES, timeout_s=0.6)
        async with open_office({RequestKind.SERIES: large}, instance="successor"):
            assert (await desk.ask(RequestKind.SERIES, timeout_s=5)).body == LARGE
        async with (
            open_office({RequestKind.SERIES: large}, instance="a"),
            open_office({RequestKind.SERIES: large}, instance="b"),
        ):
            assert (await desk.ask(RequestKind.SERIES, timeout_s=5)).body == LARGE


@pytest.mark.parametrize(
    ("kept", "said"), [((0, 2), "part 1"), ((0, 1), "part 2 .* did not come"), ((), "cannot be read")]
)
async def test_an_answer_that_is_not_whole_is_said_to_be_lost(broker, kept, said):
    parts = [part.to_bytes() for part in parts_of(Answer(body=LARGE[:900_000]), answerer="o")]
    assert len(parts) == 3

    async def answer(message) -> None:
        for number in kept:
            await broker.nc.publish(message.reply, parts[number])
        if not kept:
            await broker.nc.publish(message.reply, b"nonsense")

    await broker.nc.subscribe(subjects.observer_request(RequestKind.SERIES), cb=answer)
    with pytest.raises(AnswerLostError, match=said):
        await ObserverDesk(broker, grace_s=0.3).ask(RequestKind.SERIES, timeout_s=0.1)
