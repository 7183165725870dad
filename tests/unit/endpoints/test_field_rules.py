"""Servers that do not take every field of a request, and say so in as many ways as there are servers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from contracts.errors import PermanentError, TransientError
from tests.support.chat_servers import Behaviour, ChatServer, Exchange, chat_servers, fails, says
from tests.unit.endpoints.pools import BRISK, pool_over, told

USAGE: JsonValue = {"include_usage": True}


def openai_says(name: str, message: str, code: str) -> Any:
    return {"error": {"message": message, "type": "invalid_request_error", "param": name, "code": code}}


def refuses(name: str, said: Any, *, status: int = 400) -> Behaviour:
    """A server that does not take a field."""

    async def behave(exchange: Exchange) -> None:
        await (fails(status, said) if name in exchange.request.body else says("Bees dance."))(exchange)

    return behave


def sent(server: ChatServer, *names: str) -> list[list[str]]:
    """Which of these fields each request had."""
    return [[name for name in names if name in request.body] for request in server.chats]


THINKS = openai_says(
    "max_tokens",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "unsupported_parameter",
)
OWN_TEMPERATURE = openai_says(
    "temperature",
    "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.",
    "unsupported_value",
)


async def test_a_field_is_sent_by_the_name_that_an_endpoint_takes_and_that_is_remembered() -> None:
    async with chat_servers(2) as servers, pool_over(servers) as pool:
        servers[0].always = refuses("max_tokens", THINKS)
        for _ in range(4):
            assert await told(pool, max_tokens=50) == "Bees dance."
        first, second = (sent(server, "max_tokens", "max_completion_tokens") for server in servers)
        assert first == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]
        assert second == [["max_tokens"]] * 2
        assert servers[0].chats[-1].body["max_completion_tokens"] == 50
        assert pool.stats()[0].failures == 0


@pytest.mark.parametrize(
    ("name", "said", "status"),
    [
        ("temperature", OWN_TEMPERATURE, 400),
        ("seed", {"error": {"message": "property 'seed' is unsupported", "type": "invalid_request_error"}}, 400),
        (
            "seed",
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not…"}]},
            422,
        ),
        ("seed", {"error": {"message": "Unrecognized request argument supplied: seed", "param": None}}, 400),
        ("seed", {"message": "seed: unknown field", "code": 400}, 400),
    ],
)
async def test_a_field_that_a_server_says_it_does_not_take_is_left_out(name: str, said: Any, status: int) -> None:
    async with chat_servers() as (server,), pool_over([server]) as pool:
        server.always = refuses(name, said, status=status)
        for _ in range(2):
            assert await told(pool, temperature=0.3, seed=5) == "Bees dance."
        other = ({"temperature", "seed"} - {name}).pop()
        assert [set(fields) for fields in sent(server, "temperature", "seed")] == [{name, other}, {other}, {other}]


async def test_a_server_may_refuse_one_field_after_the_other() -> None:
    async def behave(exchange: Exchange) -> None:
        body = exchange.request.body
        if "max_tokens" in body:
            await fails(400, THINKS)(exchange)
        elif "temperature" in body:
            await fails(400, OWN_TEMPERATURE)(exchange)
        else:
            await says("Bees dance.")(exchange)

    async with chat_servers() as (server,), pool_over([server]) as pool:
        server.always = behave
        for _ in range(2):
            assert await told(pool, max_tokens=50, temperature=0.3, stream_options=USAGE) == "Bees dance."
        names = ("max_tokens", "max_completion_tokens", "temperature", "stream_options")
        assert sent(server, *names) == [
            ["max_tokens", "temperature", "stream_options"],
            ["max_completion_tokens", "temperature", "stream_options"],
            ["max_completion_tokens", "stream_options"],
            ["max_completion_tokens", "stream_options"],
        ]


async def test_what_is_learnt_later_is_remembered_beside_what_was_learnt_before() -> None:
    async with chat_servers() as (server,), pool_over([server]) as pool:
        server.always = refuses("max_tokens", THINKS)
        await told(pool, max_tokens=50)
        server.always = refuses("temperature", OWN_TEMPERATURE)
        await told(pool, max_tokens=50, temperature=0.3)
        await told(pool, max_tokens=50, temperature=0.3)
        assert sent(server, "max_tokens", "temperature")[2:] == [["temperature"], [], []]


@pytest.mark.parametrize(
    "said",
    [
        openai_says("temperature", "Invalid 'temperature': expected a value <= 1.", "decimal_above_max_value"),
        openai_says("max_tokens", "max_tokens is too large: 99999. At most 4096 tokens.", "invalid_value"),
        openai_says("messages", "Unsupported value: 'messages' with temperature.", "unsupported_value"),
    ],
    ids=["a value out of range", "too much of it", "another field"],
)
async def test_a_field_is_kept_where_something_else_is_refused(said: Any) -> None:
    async with chat_servers() as (server,), pool_over([server]) as pool:
        server.always = fails(400, said)
        with pytest.raises(PermanentError, match=r"refused the request with 400"):
            await told(pool, max_tokens=50, temperature=0.3)
        assert sent(server, "max_tokens", "temperature") == [["max_tokens", "temperature"]]


async def test_what_did_not_help_is_not_remembered() -> None:
    async with chat_servers() as (server,), pool_over([server]) as pool:
        server.then(fails(400, THINKS), fails(400, THINKS))
        with pytest.raises(PermanentError):
            await told(pool, max_tokens=50)
        assert await told(pool, max_tokens=50) == "Bees dance."
        assert sent(server, "max_tokens") == [["max_tokens"], [], ["max_tokens"]]


async def test_an_endpoint_that_was_away_may_have_come_back_as_another() -> None:
    async with chat_servers() as (server,), pool_over([server], pauses=BRISK) as pool:
        server.always = refuses("max_tokens", THINKS)
        assert await told(pool, max_tokens=50) == "Bees dance."
        await server.stop()
        while pool.endpoints[0].usable:
            with pytest.raises(TransientError):
                await told(pool, max_tokens=50)
        await server.start()
        await pool.look()
        server.always = says("Bees dance.")
        assert await told(pool, max_tokens=50) == "Bees dance."
        assert sent(server, "max_tokens")[-1] == ["max_tokens"]


class TestSuspectedFields:
    async def test_they_are_left_out_where_a_server_refuses_without_a_reason_and_that_is_remembered(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = refuses("stream_options", {"error": {"message": "no"}})
            for _ in range(4):
                assert await told(pool, stream_options=USAGE) == "Bees dance."
            assert sent(servers[0], "stream_options") == [["stream_options"], [], []]
            assert sent(servers[1], "stream_options") == [["stream_options"]] * 2
            assert pool.stats()[0].failures == 0

    async def test_a_request_that_is_refused_without_them_too_is_at_fault_itself(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.then(fails(400), fails(400))
            with pytest.raises(PermanentError):
                await told(pool, stream_options=USAGE)
            assert await told(pool, stream_options=USAGE) == "Bees dance."
            assert sent(server, "stream_options")[-1] == ["stream_options"]

    async def test_a_server_that_has_taken_them_is_not_suspected_any_more(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            assert await told(pool, stream_options=USAGE) == "Bees dance."
            server.then(fails(400))
            with pytest.raises(PermanentError):
                await told(pool, stream_options=USAGE)
            assert len(server.chats) == 2
