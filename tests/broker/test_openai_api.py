"""Chat completions as OpenAI's own client asks for them, on a real broker, with stand-ins for the workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from contracts import topology
from contracts.answers import Cancelled
from contracts.api_keys import Scope
from contracts.errors import ErrorCode
from contracts.gateway_settings import Auth
from contracts.queries import QueryRequest, SearchMode
from deploy.local.nats_server import NatsServer
from messaging.api_keys import KeyBook
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.queries import Queries
from messaging.terminals import Terminals
from tests.support.gateways import FakeWorkers, Gateway, Stage, running_gateway
from tests.support.waiting import until
from tests.support.workers import running

QUESTION: list[Any] = [{"role": "user", "content": "How do bees tell the way?"}]
TEXT = "Bees dance [1].\n\nSources:\n[1] bees.txt, page 1"


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
async def gateway(workers: FakeWorkers, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as running:
        await running.ready()
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with of(gateway) as made:
        yield made


def of(gateway: Gateway, key: str = "none") -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, http_client=DefaultAsyncHttpxClient(trust_env=False)
    )


async def streamed(client: AsyncOpenAI, **options: Any) -> list[Any]:
    stream = await client.chat.completions.create(model="waggle", messages=QUESTION, stream=True, **options)
    return [chunk async for chunk in stream]


def text_of(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def test_the_whole_answer_cites_in_its_text_and_beside_it(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="waggle", messages=QUESTION)

    assert answer.choices[0].message.content == TEXT
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "waggle", "chat.completion")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    told = answer.model_extra["waggle"]  # type: ignore[index]
    assert answer.id == f"chatcmpl-{told['query_id']}"
    assert (told["answered"], told["answer"], told["citations"][0]["name"]) == (True, "Bees dance [1].", "bees.txt")


async def test_pieces_make_the_same_text(client: AsyncOpenAI) -> None:
    chunks = await streamed(client, stream_options={"include_usage": True})

    assert text_of(chunks) == TEXT
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    told = chunks[-2].model_extra["waggle"]
    assert (told["citations"][0]["name"], told["answer"]) == ("bees.txt", None)


async def test_sources_may_be_left_out_of_the_text(client: AsyncOpenAI) -> None:
    chunks = await streamed(client, extra_body={"waggle": {"sources": False}})

    assert text_of(chunks) == "Bees dance [1]."
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_conversation_and_its_parameters_are_asked(client: AsyncOpenAI, workers: FakeWorkers) -> None:
    await client.chat.completions.create(
        model="waggle",
        messages=[
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": [{"type": "text", "text": "What do bees do?"}]},
            {"role": "assistant", "content": "They dance."},
            {"role": "user", "content": "Why?"},
        ],
        temperature=0.5,
        max_completion_tokens=7,
        stop=["\n"],
        seed=3,
        user="somebody",
        frequency_penalty=0.0,
        extra_body={"waggle": {"top_k": 3, "mode": "keyword", "cache": False, "filters": {"document_ids": ["d"]}}},
    )

    (asked,) = workers.questions
    assert (asked.query, [(turn.role, turn.content) for turn in asked.messages]) == (
        "Why?",
        [("user", "What do bees do?"), ("assistant", "They dance.")],
    )
    wanted = asked.generation
    assert (wanted.temperature, wanted.max_tokens, wanted.stop, wanted.seed) == (0.5, 7, ("\n",), 3)
    assert (asked.top_k, asked.mode, asked.cache, asked.stream) == (3, SearchMode.KEYWORD, False, False)
    assert asked.filters.document_ids == ("d",)


async def test_a_long_conversation_is_asked_with_its_end(client: AsyncOpenAI, workers: FakeWorkers) -> None:
    said = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n} " + "x" * 9000} for n in range(60)]

    await client.chat.completions.create(model="waggle", messages=[*said, *QUESTION])  # type: ignore[list-item]

    (asked,) = workers.questions
    assert len(asked.messages) == 20
    assert asked.messages[-1].content.startswith("turn 59 x")
    assert all(len(turn.content) <= 8000 for turn in asked.messages)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "assistant", "content": "Yes."}]},
        {"messages": [{"role": "user", "content": "  "}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": []},
        {"messages": QUESTION, "n": 2},
        {"messages": QUESTION, "temperature": 3},
        {"messages": QUESTION, "tools": [{"type": "function", "function": {"name": "x"}}]},
        {"messages": [{"role": "user", "content": "x" * 4001}]},
        {"messages": QUESTION, "waggle": {"tenant": "other"}},
        {"messages": [{"role": "user", "content": "\x00"}]},
    ],
)
async def test_what_cannot_be_asked_is_a_bad_request_of_openais(gateway: Gateway, body: dict[str, Any]) -> None:
    response = await gateway.http.post("/v1/chat/completions", json={"model": "waggle", **body})

    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["message"]


@pytest.mark.parametrize("body", [{"stream": None, "stop": None, "waggle": None, "stream_options": None, "seed": None}])
async def test_null_is_as_if_nothing_was_said(gateway: Gateway, body: dict[str, Any]) -> None:
    response = await gateway.http.post("/v1/chat/completions", json={"model": "waggle", "messages": QUESTION, **body})

    assert response.json()["choices"][0]["message"]["content"] == TEXT


async def test_a_question_as_long_as_may_be_is_asked(gateway: Gateway) -> None:
    body = {"model": "waggle", "messages": [{"role": "user", "content": "x" * 4000 + "\x1c"}]}

    assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200


async def test_errors_are_those_that_the_client_knows(client: AsyncOpenAI, gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError, match="no model gpt-4"):
        await client.chat.completions.create(model="gpt-4", messages=QUESTION)
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4")
    broken = await gateway.http.post("/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "malformed_request")
    wrong = await gateway.http.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    missing = await gateway.http.get("/v1/chat/nothing")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("stream", [False, True])
async def test_who_asks_more_than_its_limit_is_told_so_as_the_client_knows_it(
    workers: FakeWorkers, nats_server: NatsServer, stream: bool
) -> None:
    async with running_gateway(nats_server.url, address_rate_limit="1/m") as gateway, of(gateway) as client:
        await gateway.ready()
        await client.models.list()

        with pytest.raises(openai.RateLimitError, match="1 requests in 60 s are what this address may make") as raised:
            await client.chat.completions.create(model="waggle", messages=QUESTION, stream=stream)

    assert workers.questions == []
    is_told_when(raised.value)


async def test_who_asks_what_could_not_be_answered_in_time_is_told_so_too(
    broker: Broker, worker: WorkerApp, gateway: Gateway, client: AsyncOpenAI
) -> None:
    @worker.consumes(topology.QUERY_WORKERS, QueryRequest, concurrency=1)
    async def on_request(_: QueryRequest, __: Delivery) -> None:
        await asyncio.sleep(0.5)

    for number in range(40):
        await Queries(broker).ask(QueryRequest(query=f"question {number}"))
    refusals: list[openai.RateLimitError] = []

    async def is_refused() -> bool:
        try:
            await client.chat.completions.create(
                model="waggle", messages=QUESTION, extra_body={"waggle": {"deadline_s": 2}}
            )
        except openai.RateLimitError as error:
            refusals.append(error)
        return bool(refusals)

    async with running(worker):
        await until(is_refused)
    assert "nothing was accepted" in refusals[0].message
    is_told_when(refusals[0])


def is_told_when(error: openai.RateLimitError) -> None:
    assert (error.type, error.code) == ("rate_limit_error", "too_many_requests")
    wait_s = error.response.headers["retry-after"]
    assert int(wait_s) >= 1
    assert error.response.headers["ratelimit"].endswith(f";r=0;t={wait_s}")


async def test_there_is_one_model(client: AsyncOpenAI) -> None:
    assert [model.id async for model in await client.models.list()] == ["waggle"]
    assert (await client.models.retrieve("waggle")).owned_by == "waggle"


@pytest.mark.parametrize(("retryable", "status"), [(True, 503), (False, 500)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_question_that_fails_before_its_answer_has_a_status(
    client: AsyncOpenAI, workers: FakeWorkers, retryable: bool, status: int, stream: bool
) -> None:
    async def failing(_: QueryRequest, stage: Stage) -> None:
        await stage.retrieved()
        await stage.failed(ErrorCode.GENERATION_FAILED, retryable=retryable)

    workers.scenario = failing
    with pytest.raises(openai.InternalServerError, match=r"It went wrong\.") as raised:
        await client.chat.completions.create(model="waggle", messages=QUESTION, stream=stream)
    assert raised.value.status_code == status


async def test_a_gateway_that_stops_ends_streams_with_an_error(
    client: AsyncOpenAI, gateway: Gateway, workers: FakeWorkers, broker: Broker
) -> None:
    async def lasting(_: QueryRequest, stage: Stage) -> None:
        await stage.delta("1.1", "Bees ")
        await asyncio.sleep(60)

    workers.scenario = lasting
    stream = await client.chat.completions.create(model="waggle", messages=QUESTION, stream=True)
    gateway.drain.begin()
    gateway.drain.end()
    with pytest.raises(openai.APIError, match="stopping"):
        async for _ in stream:
            pass
    (asked,) = workers.questions

    async def withdrawn() -> bool:
        return isinstance(await Terminals(broker).find(asked.tenant, asked.query_id), Cancelled)

    await until(withdrawn)


async def test_a_question_that_fails_amid_its_answer_ends_with_an_error(
    client: AsyncOpenAI, workers: FakeWorkers
) -> None:
    async def failing(_: QueryRequest, stage: Stage) -> None:
        await stage.delta("1.1", "Bees ")
        await stage.failed(ErrorCode.GENERATION_FAILED, retryable=True)

    workers.scenario = failing
    stream = await client.chat.completions.create(model="waggle", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match=r"It went wrong\."):
        async for _ in stream:
            pass


async def test_an_answer_begun_anew_is_sent_once(client: AsyncOpenAI, workers: FakeWorkers) -> None:
    async def anew(_: QueryRequest, stage: Stage) -> None:
        for event_id, text in (("1.1", "Bees "), ("1.2", "dan"), ("2.1", "Bees dance "), ("1.3", "x"), ("2.2", "[1].")):
            await stage.delta(event_id, text)
        await stage.completed()

    workers.scenario = anew
    assert text_of(await streamed(client)) == TEXT


async def test_one_that_says_something_else_ends_with_an_error(client: AsyncOpenAI, workers: FakeWorkers) -> None:
    async def anew(_: QueryRequest, stage: Stage) -> None:
        await stage.delta("1.1", "Wasps bite.")
        await stage.delta("2.1", "Bees dance [1].")
        await stage.completed()

    workers.scenario = anew
    stream = await client.chat.completions.create(model="waggle", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="something else"):
        async for _ in stream:
            pass


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_withdraws_the_question(
    gateway: Gateway, workers: FakeWorkers, broker: Broker, stream: bool
) -> None:
    begun = asyncio.Event()

    async def lasting(_: QueryRequest, stage: Stage) -> None:
        begun.set()
        if stream:
            await stage.delta("1.1", "Bees ")
        await asyncio.sleep(60)

    workers.scenario = lasting
    body = {"model": "waggle", "messages": QUESTION, "stream": stream}

    async def asking() -> None:
        async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
            async for _ in response.aiter_lines():
                pass

    leaving = asyncio.create_task(asking())
    await begun.wait()
    await asyncio.sleep(0.3)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    async def withdrawn() -> bool:
        (asked,) = workers.questions
        return isinstance(await Terminals(broker).find(asked.tenant, asked.query_id), Cancelled)

    await until(withdrawn)


async def test_keys_are_shown_as_the_client_shows_them(
    broker: Broker, workers: FakeWorkers, nats_server: NatsServer
) -> None:
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as gateway:
        await gateway.ready()
        book = KeyBook(broker)
        asks = await book.create(name="x", tenant="acme", scopes=[Scope.QUERY], principal="test")
        reads = await book.create(name="x", tenant="acme", scopes=[Scope.READ], principal="test")

        async def answered() -> bool:
            async with of(gateway, asks.text) as client:
                try:
                    answer = await client.chat.completions.create(model="waggle", messages=QUESTION)
                except openai.AuthenticationError:
                    return False
            return answer.choices[0].message.content == TEXT

        await until(answered)
        assert workers.questions[-1].tenant == "acme"
        async with of(gateway, "sk-nonsense") as nobody:
            with pytest.raises(openai.AuthenticationError):
                await nobody.models.list()
        async with of(gateway, reads.text) as reader:
            with pytest.raises(openai.PermissionDeniedError, match="scope query"):
                await reader.chat.completions.create(model="waggle", messages=QUESTION)


async def test_every_line_of_a_stream_is_data_that_plain_readers_take(gateway: Gateway) -> None:
    body = {"model": "waggle", "messages": QUESTION, "stream": True}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.aiter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in lines[:-1])
