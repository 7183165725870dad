"""Embeddings as OpenAI's own client asks for them, on a real broker, with the simulated encoder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from contracts.encoding import MAX_TEXTS, EncodeReply, EncodeRequest, TextKind
from contracts.errors import PermanentError, TransientError
from contracts.health import FACT_ENCODER
from contracts.settings import RetrieveSettings
from deploy.local.nats_server import NatsServer
from gateway.encoding import GROUPS_AT_ONCE
from messaging.broker import Broker
from messaging.encoding import TextRefusedError
from tests.support.encoders import encoding_office, vectors_of
from tests.support.gateways import QUICK, Gateway, running_gateway
from tests.support.indexes import opened_index
from tests.support.waiting import until
from tests.support.workers import running
from workers.encoding.base import Vector
from workers.encoding.simulated import DIMENSION, SimulatedEmbedder
from workers.retrieve.worker import build

TEXTS = [f"bee number {i}" for i in range(300)]


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{gateway.url}/v1",
        api_key="none",
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    ) as made:
        yield made


@pytest.fixture
async def encoders(broker: Broker, gateway: Gateway) -> AsyncIterator[None]:
    async with encoding_office(broker):
        yield


class Office:
    """Answers as it is told; notes what it was asked."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.asked: list[EncodeRequest] = []
        self._error = error
        self._encoded = vectors_of(SimulatedEmbedder())

    async def answer(self, request: EncodeRequest) -> EncodeReply:
        self.asked.append(request)
        if self._error is not None:
            raise self._error
        return await self._encoded.reply(request)


def expected(texts: list[str]) -> Vector:
    return SimulatedEmbedder().encode_questions(texts)


async def post(gateway: Gateway, **body: Any) -> httpx.Response:
    return await gateway.http.post("/v1/embeddings", json={"model": "waggle", "input": "bees", **body})


@pytest.mark.usefixtures("encoders")
class TestVectors:
    @pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}])
    async def test_hundreds_of_texts_come_back_in_order(self, client: AsyncOpenAI, options: dict[str, Any]) -> None:
        answer = await client.embeddings.create(model="waggle", input=TEXTS, **options)

        np.testing.assert_array_equal(
            np.array([each.embedding for each in answer.data], dtype=np.float32), expected(TEXTS)
        )
        assert [each.index for each in answer.data] == list(range(len(TEXTS)))
        assert (answer.object, answer.data[0].object, answer.model) == ("list", "embedding", "simulated")
        assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3 * len(TEXTS), 3 * len(TEXTS))

    async def test_one_text_is_asked_for_by_the_encoders_own_name(self, client: AsyncOpenAI) -> None:
        answer = await client.embeddings.create(
            model="simulated", input="bees", dimensions=DIMENSION, user="somebody", encoding_format="base64"
        )

        assert len(answer.data) == 1
        vector: Any = answer.data[0].embedding
        assert isinstance(vector, str)

    async def test_as_many_as_openai_takes(self, client: AsyncOpenAI) -> None:
        answer = await client.embeddings.create(model="waggle", input=["蜂" * 100] * 2048)

        assert len(answer.data) == 2048

    async def test_another_model_or_dimension_is_not_given(self, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.NotFoundError, match="no model text-embedding-3-small: the encoder is simulated"):
            await client.embeddings.create(model="text-embedding-3-small", input="bees")
        with pytest.raises(openai.BadRequestError, match="384 numbers, not 256") as raised:
            await client.embeddings.create(model="waggle", input="bees", dimensions=256)
        assert raised.value.param == "dimensions"

    @pytest.mark.parametrize(
        ("body", "param", "what"),
        [
            ({"input": [1, 2, 3]}, "input", "tokens of another model"),
            ({"input": [[n] * 300 for n in range(200)]}, None, "check_embedding_ctx_length=False"),
            ({"input": ["bees", ""]}, "input.1", "at least 1 character"),
            ({"input": ["bees", "b" * 32_769]}, "input.1", "at most 32768"),
            ({"input": ["bees"] * 2049}, "input", "at most 2048"),
            ({"input": "\x00"}, None, "NUL"),
            ({"encoding_format": "int8"}, "encoding_format", "float"),
            ({"waggle": {"input_type": "image"}}, "waggle.input_type", "passage"),
        ],
    )
    async def test_what_cannot_be_encoded_is_a_bad_request_of_openais(
        self, gateway: Gateway, body: dict[str, Any], param: str | None, what: str
    ) -> None:
        response = await post(gateway, **body)

        assert response.status_code == 400, response.text
        error = response.json()["error"]
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_request", param)
        assert what in error["message"]

    async def test_more_bytes_than_a_request_may_have_are_refused(self, gateway: Gateway) -> None:
        response = await post(gateway, input=["b" * 32_000] * 140)

        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")

    async def test_wrong_methods_and_bodies_are_errors_of_openais(self, gateway: Gateway) -> None:
        wrong = await gateway.http.get("/v1/embeddings")
        broken = await gateway.http.post("/v1/embeddings", content=b"{", headers={"Content-Type": "application/json"})

        assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
        assert (broken.status_code, broken.json()["error"]["code"]) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, TextKind.PASSAGES),
        ({"input_type": "passage"}, TextKind.PASSAGES),
        ({"input_type": "query"}, TextKind.QUESTIONS),
    ],
)
async def test_texts_are_passages_unless_they_are_said_to_be_questions(
    client: AsyncOpenAI, broker: Broker, options: dict[str, str], kind: TextKind
) -> None:
    office = Office()
    async with encoding_office(broker, office.answer):
        await client.embeddings.create(model="waggle", input="bees", extra_body={"waggle": options})

    (asked,) = office.asked
    assert (asked.kind, asked.tenant, asked.principal, asked.model) == (kind, "default", "anonymous", None)


async def test_without_a_worker_it_is_said_when_to_come_back(gateway: Gateway) -> None:
    response = await post(gateway)

    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.json()["error"]["type"] == "server_error"
    assert "no retrieve worker" in response.json()["error"]["message"].lower()


@pytest.mark.parametrize(
    ("error", "status", "code", "param"),
    [
        (TextRefusedError("it cannot be encoded (too loud)", position=1), 400, "invalid_request", "input.1"),
        (TransientError("encoder is away"), 503, "temporarily_unavailable", None),
        (PermanentError("a vector does not fit"), 500, "encoding_failed", None),
    ],
)
async def test_whose_fault_it_is_has_a_status(
    gateway: Gateway, broker: Broker, error: Exception, status: int, code: str, param: str | None
) -> None:
    async with encoding_office(broker, Office(error=error).answer):
        response = await post(gateway, input=["bees", "wasps!"])

    told = response.json()["error"]
    assert (response.status_code, told["code"], told["param"]) == (status, code, param)
    assert str(error).lower() in told["message"].lower()
    assert ("retry-after" in response.headers) == (status == 503)


async def hanging(_: EncodeRequest) -> EncodeReply:
    await asyncio.Event().wait()
    raise AssertionError


async def test_what_takes_longer_than_it_may_ends(gateway: Gateway, broker: Broker) -> None:
    async with encoding_office(broker, hanging):
        response = await post(gateway, waggle={"deadline_s": 0.2})

    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")


async def test_encoders_that_stay_busy_are_too_many_requests(broker: Broker, nats_server: NatsServer) -> None:
    begun = asyncio.Event()

    async def begin(request: EncodeRequest) -> EncodeReply:
        begun.set()
        return await hanging(request)

    async with (
        running_gateway(nats_server.url, limits=replace(QUICK, encoders_patience_s=0.2)) as gateway,
        encoding_office(broker, begin, concurrency=1),
    ):
        await gateway.ready()
        first = asyncio.create_task(post(gateway))
        await begun.wait()
        response = await post(gateway, input=["bees"] * 40)
        first.cancel()

    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert response.json()["error"]["type"] == "rate_limit_error"


async def test_a_gateway_holds_so_many_texts_and_no_more(broker: Broker, nats_server: NatsServer) -> None:
    limits = replace(QUICK, texts_in_hand=8)
    office = Office()
    async with running_gateway(nats_server.url, limits=limits) as gateway, encoding_office(broker, office.answer):
        await gateway.ready()
        refused = await post(gateway, input=["bees"] * 5)
        taken = [await post(gateway, input=["bees"] * 4) for _ in range(3)]

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert [response.status_code for response in taken] == [200] * 3
    assert len(office.asked) == 3


async def test_a_gateway_that_stops_says_so(broker: Broker, gateway: Gateway) -> None:
    begun = asyncio.Event()

    async def begin(request: EncodeRequest) -> EncodeReply:
        begun.set()
        return await hanging(request)

    async with encoding_office(broker, begin):
        waiting = asyncio.create_task(post(gateway))
        await begun.wait()
        gateway.drain.begin()
        gateway.drain.end()
        response = await waiting

    assert response.status_code == 503
    assert "stopping" in response.json()["error"]["message"]


async def test_who_leaves_has_no_more_encoded(broker: Broker, nats_server: NatsServer) -> None:
    texts, office, begun, go_on = ["bees"] * 400, Office(), asyncio.Event(), asyncio.Event()

    async def waiting(request: EncodeRequest) -> EncodeReply:
        begun.set()
        await go_on.wait()
        return await office.answer(request)

    async with (
        running_gateway(nats_server.url, limits=replace(QUICK, texts_in_hand=2 * len(texts))) as gateway,
        encoding_office(broker, waiting),
    ):
        await gateway.ready()
        leaving = asyncio.create_task(post(gateway, input=texts))
        await begun.wait()
        leaving.cancel()
        await asyncio.wait({leaving})

        async def let_go() -> bool:
            return (await post(gateway, input=texts, waggle={"deadline_s": 0.2})).status_code == 504

        await until(let_go)
        go_on.set()
        assert (await post(gateway, input=texts)).status_code == 200

    groups = -(-len(texts) // MAX_TEXTS)
    assert len(office.asked) <= groups + 2 * GROUPS_AT_ONCE  # what was begun for those who left, and nothing else


async def test_a_real_worker_answers_and_its_encoder_is_among_the_models(
    broker: Broker, gateway: Gateway, client: AsyncOpenAI, nats_server: NatsServer, tmp_path: Path
) -> None:
    settings = RetrieveSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path)
    async with opened_index(settings), running(build(settings, embedder=SimulatedEmbedder)) as app:

        async def listed() -> bool:
            return [model.id async for model in await client.models.list()] == ["waggle", "simulated"]

        await until(listed)
        assert (await client.models.retrieve("simulated")).id == "simulated"
        answer = await client.embeddings.create(model="simulated", input=TEXTS)

    assert app._parts.facts[FACT_ENCODER] == "simulated"
    np.testing.assert_array_equal(np.array([each.embedding for each in answer.data], dtype=np.float32), expected(TEXTS))
