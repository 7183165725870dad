"""How tokens are counted: by the endpoints, by a library, or estimated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contracts.generator_settings import ChatEndpointSettings
from tests.support.chat_servers import MODEL, ChatServer, Exchange, chat_servers, fails
from tests.unit.generate.openai_models import model_over
from workers.encoding.models import folder_of
from workers.generate.chat.openai import build_openai_model
from workers.generate.chat.openai_tokens import MAX_CACHED, TokenCounts, estimate

TEXTS = ["bees dance", "蜜蜂", "bees dance", ""]


async def vllm(exchange: Exchange) -> None:
    body = exchange.request.body
    known = body.get("model") == MODEL and body.get("add_special_tokens") is False and "prompt" in body
    await (exchange.json(200, {"count": len(body["prompt"])}) if known else exchange.json(400, {}))


async def llama_cpp(exchange: Exchange) -> None:
    """Any body is one to it."""
    await exchange.json(200, {"tokens": [0] * len(exchange.request.body.get("content", ""))})


def counted(server: ChatServer) -> list[str]:
    """The texts that the server was asked about, but for the one that it introduced itself with."""
    asked = [request.body for request in server.requests if request.path == "/tokenize"]
    texts = [body.get("prompt", body.get("content")) for body in asked]
    return [text for text in texts if text != "bee"]


async def test_vllm_counts() -> None:
    async with chat_servers() as (server,):
        server.at["/tokenize"] = vllm
        async with model_over([server]) as model:
            assert await model.count_tokens(TEXTS) == [10, 2, 10, 0]
            assert sorted(counted(server)) == ["", "bees dance", "蜜蜂"]


async def test_llama_cpp_counts() -> None:
    async with chat_servers() as (server,):
        server.at["/tokenize"] = llama_cpp
        async with model_over([server]) as model:
            assert await model.count_tokens(TEXTS) == [10, 2, 10, 0]


async def test_a_text_is_counted_once() -> None:
    async with chat_servers() as (server,):
        server.at["/tokenize"] = vllm
        async with model_over([server]) as model:
            for _ in range(3):
                await model.count_tokens(TEXTS)
            assert len(counted(server)) == 3


async def test_where_nobody_counts_it_is_estimated_from_above() -> None:
    async with chat_servers() as (server,), model_over([server]) as model:
        assert await model.count_tokens(TEXTS) == [estimate(text) for text in TEXTS]
        assert estimate("honey " * 10) == 13


async def test_an_endpoint_that_stops_counting_is_stood_in_for_and_estimates_are_not_kept() -> None:
    async with chat_servers(2) as servers:
        servers[0].at["/tokenize"] = servers[1].at["/tokenize"] = vllm
        async with model_over(servers) as model:
            servers[0].at["/tokenize"] = fails(500)
            assert await model.count_tokens(["bees dance"]) == [10]
            servers[1].at["/tokenize"] = fails(500)
            assert await model.count_tokens(["蜜蜂"]) == [estimate("蜜蜂")] != [2]
            servers[1].at["/tokenize"] = vllm
            assert await model.count_tokens(["蜜蜂"]) == [2]


async def test_the_models_own_tokenizer_counts_exactly_and_asks_nobody() -> None:
    folder = folder_of("all-MiniLM-L6-v2")
    assert folder
    for path in (folder, folder / "tokenizer.json"):
        async with chat_servers() as (server,), model_over([server], generator_tokenizer=path) as model:
            assert await model.count_tokens(["honey bees", "bee " * 1000, ""]) == [2, 1000, 0]
            assert counted(server) == []


class Counting:
    """Says how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def count(self, texts: Sequence[str]) -> list[int | None]:
        self.asked += len(texts)
        return [len(text) for text in texts]


async def test_no_more_than_so_many_counts_are_remembered() -> None:
    counting = Counting()
    counts = TokenCounts(counting)
    texts = [str(n) for n in range(MAX_CACHED + 1)]
    assert await counts.of(texts) == [len(text) for text in texts]
    await counts.of(texts[-5:])
    assert counting.asked == MAX_CACHED + 1
    await counts.of(texts[:1])
    assert counting.asked == MAX_CACHED + 2


def test_a_tokenizer_is_read_when_the_model_is_built() -> None:
    folder = folder_of("all-MiniLM-L6-v2") or Path()
    settings = ChatEndpointSettings(
        generator_endpoints="http://a/v1", generator_model=MODEL, generator_tokenizer=folder
    )
    assert build_openai_model(settings).name == MODEL
