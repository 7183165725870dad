"""The model behind endpoints, against llama.cpp's server with a small real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from contracts.endpoints import Balance
from contracts.errors import PermanentError, TransientError
from contracts.generator_settings import ChatEndpointSettings
from tests.support.llama_server import CONTEXT_TOKENS, MODEL, LlamaServer, llama_server
from tests.support.waiting import until
from workers.generate.chat.model import ChatMessage, ChatModel, FinishReason, ReplyEnd, ReplyText, Role, Sampling
from workers.generate.chat.openai import OpenAIChatModel, build_openai_model

ASKED = (
    ChatMessage(role=Role.SYSTEM, content="You are a beekeeper. Answer at length."),
    ChatMessage(role=Role.USER, content="How do bees tell each other where the flowers are?"),
)
GREEDY = Sampling(max_tokens=24, temperature=0.0)


@pytest.fixture
async def server() -> AsyncIterator[LlamaServer]:
    async with llama_server() as server:
        yield server


@asynccontextmanager
async def model_over(*servers: LlamaServer, name: str = MODEL) -> AsyncIterator[OpenAIChatModel]:
    model = build_openai_model(
        ChatEndpointSettings(
            generator_endpoints=",".join(server.url for server in servers),
            generator_model=name,
            generator_balance=Balance.ROUND_ROBIN,
        )
    )
    await model.start()
    try:
        yield model
    finally:
        await model.close()


async def replied(model: ChatModel, sampling: Sampling = GREEDY) -> tuple[str, ReplyEnd]:
    *texts, end = [item async for item in model.reply(ASKED, sampling)]
    assert isinstance(end, ReplyEnd)
    return "".join(text.text for text in texts if isinstance(text, ReplyText)), end


async def rest_of(reply: AsyncIterator[ReplyText | ReplyEnd]) -> ReplyText | ReplyEnd:
    """The last item."""
    return [item async for item in reply][-1]


async def at_work(server: LlamaServer) -> list[int]:
    """How many tokens each reply under way has so far."""
    async with httpx.AsyncClient(trust_env=False) as http:
        slots = (await http.get(f"{server.root}/slots")).json()
    return [slot["next_token"][0]["n_decoded"] for slot in slots if slot["is_processing"]]


async def test_one_server_does_all_that_a_chat_model_has_to(server: LlamaServer) -> None:
    """One server for many sides: it takes seconds to load."""
    async with model_over(server) as model:
        assert model.context_tokens == CONTEXT_TOKENS
        await model.look()

        text, end = await replied(model)
        assert len(text) > GREEDY.max_tokens
        assert (end.finish_reason, end.usage.completion_tokens) == (FinishReason.LENGTH, GREEDY.max_tokens)
        assert end.usage.prompt_tokens > sum(await model.count_tokens([message.content for message in ASKED]))
        assert await model.count_tokens([text, "", "bees " * 50]) == [GREEDY.max_tokens, 0, 51]

        word = text.split()[4]
        stopped, end = await replied(model, Sampling(max_tokens=24, temperature=0.0, stop=(word,)))
        assert end.finish_reason is FinishReason.STOP
        assert text.startswith(stopped)
        assert word not in stopped

        seeded = [await replied(model, Sampling(max_tokens=24, temperature=1.0, seed=seed)) for seed in (1, 1, 2)]
        assert seeded[0][0] == seeded[1][0] != seeded[2][0]

        long = ChatMessage(role=Role.USER, content="bees " * CONTEXT_TOKENS)
        with pytest.raises(PermanentError, match="WAGGLE_GENERATOR_CONTEXT_TOKENS"):
            await anext(model.reply([long], GREEDY))

        async with aclosing(model.reply(ASKED, Sampling(max_tokens=400, temperature=0.0))) as reply:
            await anext(reply)
            assert len(await at_work(server)) == 1
        decoded = [0]

        async def idle() -> bool:
            decoded.extend(working := await at_work(server))
            return not working

        await until(idle, timeout_s=60)
        assert max(decoded) < 200


async def test_a_server_that_is_killed_breaks_off_its_answer_and_another_takes_over(server: LlamaServer) -> None:
    async with llama_server() as other, model_over(server, other) as model:
        expected, _ = await replied(model)
        replies = [model.reply(ASKED, Sampling(max_tokens=100, temperature=0.0)) for _ in range(2)]
        for reply in replies:
            await anext(reply)
        await server.kill()
        outcomes = await asyncio.gather(*map(rest_of, replies), return_exceptions=True)
        (broken,) = (outcome for outcome in outcomes if isinstance(outcome, TransientError))
        assert f"the answer was broken off: {server.url}" in str(broken)
        assert sum(isinstance(outcome, ReplyEnd) for outcome in outcomes) == 1
        for _ in range(4):
            assert (await replied(model))[0] == expected


async def test_a_name_that_the_server_does_not_list_is_tried_out(server: LlamaServer) -> None:
    async with model_over(server, name="smollm2") as model:  # llama.cpp takes any
        assert (await replied(model))[1].usage.completion_tokens > 0
