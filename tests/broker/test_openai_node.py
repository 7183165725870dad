"""What OpenAI's own client for Node.js makes of the gateway: answers, pieces, models, vectors, errors."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.api_keys import Scope
from contracts.encoding import EncodeReply, EncodeRequest, TextKind
from contracts.errors import ErrorCode
from contracts.gateway_settings import Auth
from contracts.queries import QueryRequest
from deploy.local.nats_server import NatsServer
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from tests.support.encoders import encoding_office, vectors_of
from tests.support.gateways import FakeWorkers, Stage, running_gateway
from tests.support.node import installed
from tests.support.waiting import until
from workers.encoding.base import Vector
from workers.encoding.simulated import DIMENSION, SimulatedEmbedder

PROGRAM = Path(__file__).parents[1] / "support" / "openai_node"
COURSE_S = 60.0
TEXT = "Bees dance [1].\n\nSources:\n[1] bees.txt, page 1"

Ask = Callable[[str], Awaitable[Any]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(PROGRAM, into=tmp_path_factory.mktemp("openai"))


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker)
    await workers.start()
    yield workers
    await workers.stop()


@pytest.fixture
def kinds() -> list[TextKind]:
    """As what texts were encoded."""
    return []


@pytest.fixture
async def ask(
    program: Path, broker: Broker, nats_server: NatsServer, workers: FakeWorkers, kinds: list[TextKind]
) -> AsyncIterator[Ask]:
    """Run a course of the program with a key that may ask, and nothing else."""
    encoded = vectors_of(SimulatedEmbedder())

    async def encode(request: EncodeRequest) -> EncodeReply:
        kinds.append(request.kind)
        return await encoded.reply(request)

    async with running_gateway(nats_server.url, auth=Auth.KEYS) as gateway, encoding_office(broker, encode):
        await gateway.ready()
        made = await KeyBook(broker).create(name="node", tenant="acme", scopes=[Scope.QUERY], principal="test")

        async def known() -> bool:
            shown = {"Authorization": f"Bearer {made.text}"}
            return (await gateway.http.get("/v1/models", headers=shown)).status_code == 200

        await until(known)
        yield lambda course: run(program, course, WAGGLE_URL=gateway.url, WAGGLE_API_KEY=made.text)


async def run(program: Path, course: str, **environment: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        "node",
        "client.mjs",
        course,
        cwd=program,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COURSE_S):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()
    return json.loads(said)


def expected(*texts: str) -> Vector:
    return SimulatedEmbedder().encode_questions(texts)


def numbers(found: dict[str, Any]) -> Vector:
    return np.array([each["embedding"] for each in found["data"]], dtype=np.float32)


async def test_an_answer_with_its_usage_and_citations(ask: Ask, workers: FakeWorkers) -> None:
    answer = await ask("chat")

    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (TEXT, "stop")
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    (citation,) = answer["waggle"]["citations"]
    assert (citation["name"], citation["page"], answer["waggle"]["answer"]) == ("bees.txt", 1, "Bees dance [1].")
    assert [(asked.tenant, asked.top_k) for asked in workers.questions] == [("acme", 3)]


async def test_pieces_make_the_same_text_and_the_last_tell_the_rest(ask: Ask) -> None:
    streamed = await ask("stream")

    *pieces, end, usage = streamed["chunks"]
    assert streamed["error"] is None
    assert len(pieces) > 2
    assert "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces) == TEXT
    assert end["choices"][0]["finish_reason"] == "stop"
    assert end["waggle"]["citations"][0]["name"] == "bees.txt"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], usage["usage"]["prompt_tokens"])


async def test_a_stream_that_breaks_off_is_an_error(ask: Ask, workers: FakeWorkers) -> None:
    async def failing(_: QueryRequest, stage: Stage) -> None:
        await stage.delta("1.1", "Bees ")
        await stage.failed(ErrorCode.GENERATION_FAILED, retryable=True)

    workers.scenario = failing
    streamed = await ask("cut")

    assert streamed["chunks"][-1]["choices"][0]["delta"]["content"] == "Bees "
    assert (streamed["error"]["class"], streamed["error"]["code"]) == ("APIError", "generation_failed")


async def test_models_are_listed(ask: Ask) -> None:
    models = await ask("models")

    assert [model["id"] for model in models["list"]] == ["waggle"]
    assert (models["one"]["id"], models["one"]["object"]) == ("waggle", "model")


async def test_vectors_are_the_same_however_they_travel(ask: Ask, kinds: list[TextKind]) -> None:
    found = await ask("embeddings")

    np.testing.assert_array_equal(numbers(found["plain"]), expected("How do bees dance?"))
    np.testing.assert_array_equal(numbers(found["numbers"]), expected("a", "b"))
    packed = [base64.b64decode(each["embedding"]) for each in found["base64"]["data"]]
    np.testing.assert_array_equal(np.stack([np.frombuffer(each, dtype="<f4") for each in packed]), expected("a", "b"))
    assert (found["plain"]["model"], found["plain"]["usage"]["prompt_tokens"]) == ("simulated", 4)
    assert kinds == [*[TextKind.PASSAGES] * 3, TextKind.QUESTIONS]


async def test_hundreds_of_texts_come_back_in_order(ask: Ask) -> None:
    found = await ask("many")

    assert found["indices"] == list(range(500))
    vectors = np.array([found["first"], found["last"]], dtype=np.float32)
    np.testing.assert_array_equal(vectors, expected("bee number 0", "bee number 499"))
    assert found["usage"] == {"prompt_tokens": 1500, "total_tokens": 1500}


async def test_errors_are_those_that_the_client_knows(ask: Ask) -> None:
    found = await ask("error")

    classes = {name: (error["class"], error["status"]) for name, error in found.items()}
    assert classes == {
        "model": ("NotFoundError", 404),
        "encoder": ("NotFoundError", 404),
        "tokens": ("BadRequestError", 400),
        "dimensions": ("BadRequestError", 400),
        "key": ("AuthenticationError", 401),
    }
    assert (found["encoder"]["code"], found["tokens"]["param"]) == ("model_not_found", "input")
    assert str(DIMENSION) in found["dimensions"]["message"]
