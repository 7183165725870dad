"""The generate worker on a real broker, with endpoints that fail in every way there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.answers import Completed, Delta, Failed
from contracts.errors import ErrorCode
from contracts.generator_settings import GeneratorKind
from contracts.settings import GenerateSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.answers import AnyEvent
from messaging.broker import Broker
from messaging.queries import Queries
from tests.broker.answering_stage import TENANT, TEXTS, generate_request
from tests.broker.test_generate_worker import answered, is_done, publish
from tests.support.chat_servers import (
    MODEL,
    Behaviour,
    ChatServer,
    chat_servers,
    fails,
    hangs,
    hangs_after,
    page,
    resets,
    resets_after,
    says,
)
from tests.support.letters import dead_letters
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.generate.worker import build

ANSWER = "They weigh twenty kilograms [1]."
Ask = Callable[..., Coroutine[Any, Any, list[AnyEvent]]]


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=6)  # of which a handler gets the usual four attempts


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    async with chat_servers() as (server,):
        server.always = says(ANSWER)
        yield server


@pytest.fixture
async def worker(
    server: ChatServer, nats_server: NatsServer, broker: Broker, table: Topology, tmp_path: Path
) -> AsyncIterator[None]:
    settings = GenerateSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        generator=GeneratorKind.OPENAI,
        generator_endpoints=server.url,
        generator_model=MODEL,
        generator_first_token_timeout_s=0.5,
        generator_gap_timeout_s=0.5,
    )
    async with running(build(settings, table=table)):
        yield


@pytest.fixture
def ask(worker: None, broker: Broker) -> Ask:
    async def ask(*, left_s: float = 25.0) -> list[AnyEvent]:
        return await answered(broker, generate_request(broker, left_s=left_s))

    return ask


def completed(events: Sequence[AnyEvent]) -> tuple[str, set[str]]:
    """The answer, and the attempts that its pieces are of."""
    *deltas, end = events
    assert isinstance(end, Completed), end
    assert end.answer is not None
    return end.answer, {event.id.split(".")[0] for event in deltas if isinstance(event, Delta)}


async def test_an_endpoint_answers_with_citations(ask: Ask) -> None:
    *_, end = await ask()
    assert isinstance(end, Completed)
    assert (end.answer, end.model) == (ANSWER, MODEL)
    assert [citation.quote for citation in end.citations] == [TEXTS[0]]


@pytest.mark.parametrize("breaks", [resets_after("They "), hangs_after("They ")])
async def test_half_a_stream_is_made_void_by_a_higher_attempt(ask: Ask, server: ChatServer, breaks: Behaviour) -> None:
    server.then(breaks)
    answer, attempts = completed(await ask())
    assert answer == ANSWER
    assert attempts >= {"2"}


@pytest.mark.parametrize("behaves", [hangs, hangs_after(), resets, page(), page(502), fails(500), fails(503)])
async def test_what_fails_before_the_first_token_is_tried_again(
    ask: Ask, server: ChatServer, broker: Broker, behaves: Behaviour
) -> None:
    server.then(behaves, behaves)
    answer, _ = completed(await ask())
    assert answer == ANSWER
    assert await dead_letters(broker) == []


async def test_a_busy_endpoint_is_waited_for_however_often_it_says_so(
    ask: Ask, server: ChatServer, broker: Broker
) -> None:
    server.then(*[fails(429, Retry_After="0.1")] * 5)  # a message has four attempts
    answer, _ = completed(await ask())
    assert answer == ANSWER
    assert len(server.chats) == 6
    assert await dead_letters(broker) == []


@pytest.mark.parametrize(
    ("refusal", "setting"),
    [
        (fails(401), "WAGGLE_GENERATOR_API_KEY"),
        (fails(404, {"error": {"code": "model_not_found", "message": "no such model"}}), "WAGGLE_GENERATOR_MODEL"),
        (
            fails(400, {"error": {"type": "exceed_context_size_error", "message": "exceeds the context size"}}),
            "WAGGLE_GENERATOR_CONTEXT_TOKENS",
        ),
    ],
)
async def test_a_refusal_ends_the_query_at_once_and_names_the_setting(
    ask: Ask, server: ChatServer, broker: Broker, refusal: Behaviour, setting: str
) -> None:
    server.always = refusal
    *_, end = await ask()
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == (ErrorCode.GENERATION_FAILED, False)
    assert setting in end.message
    await until(lambda: is_done(broker))
    (letter,) = await dead_letters(broker)
    assert letter.attempts == 1


async def test_messages_are_held_while_the_endpoint_is_away(ask: Ask, server: ChatServer, broker: Broker) -> None:
    await server.stop()
    *_, end = await ask(left_s=1.5)
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == (ErrorCode.DEADLINE_EXCEEDED, True)
    waiting = asyncio.create_task(ask())
    await asyncio.sleep(1.5)  # longer than four attempts would take
    await server.start()
    answer, attempts = completed(await waiting)
    assert (answer, attempts) == (ANSWER, {"1"})
    assert await dead_letters(broker) == []


async def test_a_page_at_every_path_is_an_outage(ask: Ask, server: ChatServer, broker: Broker) -> None:
    behaved = server.at["/v1/models"]
    server.always = server.at["/v1/models"] = page()
    *_, end = await ask(left_s=1.5)
    assert isinstance(end, Failed)
    assert end.code == ErrorCode.DEADLINE_EXCEEDED
    server.at["/v1/models"], server.always = behaved, says(ANSWER)
    assert completed(await ask())[0] == ANSWER
    assert await dead_letters(broker) == []


@pytest.mark.parametrize("begun", [(), ("They ",)])
async def test_a_deadline_stops_the_request(ask: Ask, server: ChatServer, begun: tuple[str, ...]) -> None:
    server.always = hangs_after(*begun)
    *_, end = await ask(left_s=0.4)
    assert isinstance(end, Failed)
    assert end.code == ErrorCode.DEADLINE_EXCEEDED
    await until(server.exchanges[-1].left.is_set)


async def test_a_withdrawn_query_stops_the_request(worker: None, server: ChatServer, broker: Broker) -> None:
    gone = asyncio.Event()

    async def talks_on(exchange) -> None:
        await exchange.open_stream()
        try:
            while True:
                await exchange.event({"choices": [{"delta": {"content": "so "}}]})
                await asyncio.sleep(0.05)
        except ConnectionError:
            gone.set()

    server.always = talks_on
    request = generate_request(broker)
    await publish(broker, request)
    await until(lambda: server.chats)
    await Queries(broker).cancel(TENANT, request.query_id)
    async with asyncio.timeout(60):
        await gone.wait()
    await until(lambda: is_done(broker))
    assert len(server.chats) == 1
    assert await dead_letters(broker) == []
