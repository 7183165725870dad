"""Answers by a language model: the whole stack, with a real engine behind an endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.local.ports import free_port
from tests.e2e.waggle import LIGHT, Waggle
from tests.support.llama_server import MODEL, llama_server
from tests.support.waiting import until
from workers.generate.chat.template import PromptTemplate

pytestmark = [pytest.mark.timeout(1500), pytest.mark.asyncio(loop_scope="module")]

QUESTION = "When does the honey shop in Quarrington open?"
ONE_SENTENCE = {"max_tokens": 48, "temperature": 0, "stop": [".", "\n"]}
"""So a small model stops by itself: answers that are cut are not kept."""


class Engine:
    """llama.cpp's server on one port; it may be killed and started again."""

    def __init__(self) -> None:
        self._port = free_port()
        self._running = AsyncExitStack()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def start(self) -> None:
        await self._running.enter_async_context(llama_server(self._port))

    async def kill(self) -> None:
        await self._running.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    await engine.start()
    yield engine
    await engine.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def waggle(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Waggle]:
    settings = LIGHT | {
        "WAGGLE_GENERATOR": "openai",
        "WAGGLE_GENERATOR_ENDPOINTS": engine.url,
        "WAGGLE_GENERATOR_MODEL": MODEL,
        "WAGGLE_GENERATOR_FIRST_TOKEN_TIMEOUT_S": "20",
    }
    stack = Waggle(data_dir=tmp_path_factory.mktemp("stack"), settings=settings)
    stack.up()
    yield stack
    stack("down")


@pytest.fixture
def document_id(waggle: Waggle, tmp_path: Path) -> Iterator[str]:
    file = tmp_path / "hours.txt"
    file.write_text("The honey shop in Quarrington opens at nine in the morning.", encoding="utf-8")
    document_id = str(waggle.json("ingest", str(file))["items"][0]["document_id"])
    yield document_id
    waggle("documents", "rm", document_id, code=None)  # unless the test has done so


def ask(waggle: Waggle, query: str = QUESTION, *, code: int = 200, **options: Any) -> dict[str, Any]:
    with waggle.http() as http:
        reply = http.post("/v1/query", json={"query": query, "generation": ONE_SENTENCE, **options})
    assert reply.status_code == code, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def kept(waggle: Waggle) -> dict[str, Any]:
    """The answer from the cache, where it is just after it was given."""
    answer = ask(waggle)

    async def cached() -> bool:
        nonlocal answer
        answer = await asyncio.to_thread(ask, waggle)
        return bool(answer["cached"])

    await until(cached, timeout_s=60)
    return answer


def ask_streamed(waggle: Waggle, **options: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events, by name."""
    body = {"query": QUESTION, "generation": ONE_SENTENCE, "stream": True, **options}
    with waggle.http() as http:
        reply = http.post("/v1/query", json=body)
    assert reply.status_code == 200, reply.text
    events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in reply.text.strip().split("\n\n")]
    return [(event["event"], json.loads(event["data"])) for event in events if "event" in event]


async def test_a_model_answers_and_is_not_asked_again_until_the_document_is_gone(
    waggle: Waggle, document_id: str
) -> None:
    first = ask(waggle)
    assert (first["model"], first["prompt_version"]) == (MODEL, PromptTemplate.read().version)
    assert (first["cached"], first["finish_reason"]) == (False, "stop")
    assert first["usage"]["completion_tokens"] > 0
    assert first["passages"][0]["document_id"] == document_id

    again = await kept(waggle)
    assert (again["answer"], again["model"]) == (first["answer"], MODEL)
    assert not ask(waggle, cache=False)["cached"]

    waggle("documents", "rm", document_id)
    gone = ask(waggle)
    assert (gone["answered"], gone["cached"], gone["citations"]) == (False, False, [])
    assert "nine" not in gone["answer"]


async def test_an_answer_is_streamed_piece_by_piece_and_from_the_cache_in_one(waggle: Waggle, document_id: str) -> None:
    made = ask_streamed(waggle)
    assert [name for name, _ in made[:2]] == ["retrieved", "delta"]
    assert made[-1][0] == "completed"
    pieces = [data["text"] for name, data in made if name == "delta"]
    assert "".join(pieces) == made[-1][1]["answer"]
    assert len(pieces) > 1

    await kept(waggle)
    known = ask_streamed(waggle)
    assert [name for name, _ in known] == ["retrieved", "delta", "completed"]
    assert known[-1][1]["cached"]
    assert known[1][1]["text"] == made[-1][1]["answer"]


async def test_a_question_of_a_conversation_is_put_in_full(waggle: Waggle, document_id: str) -> None:
    messages = [
        {"role": "user", "content": "Is there a honey shop in Quarrington?"},
        {"role": "assistant", "content": "Yes, there is one."},
    ]
    answer = ask(waggle, "When does it open?", messages=messages)
    assert answer["searched_for"]
    assert answer["searched_for"] != "When does it open?"
    assert answer["timings_ms"]["condense"] > 0
    assert answer["model"] == MODEL
    assert not ask(waggle, "When does it open?")["cached"]  # without the conversation it is another question


async def test_questions_wait_while_the_engine_is_away(waggle: Waggle, engine: Engine, document_id: str) -> None:
    await engine.kill()
    late = ask(waggle, cache=False, deadline_s=3, code=504)
    assert late["code"] == "deadline_exceeded"
    waiting = asyncio.create_task(asyncio.to_thread(ask, waggle, cache=False, deadline_s=28))
    await until(lambda: "backend is away" in waggle("logs", "generate").stdout, what="the worker holds its messages")
    await engine.start()
    assert (await waiting)["model"] == MODEL
    assert waggle.json("dlq", "ls")["items"] == []
