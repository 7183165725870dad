"""Replies that come token by token, and all the ways in which they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from contracts.endpoint_reports import EndpointState
from contracts.errors import PermanentError, TransientError
from tests.support.chat_servers import (
    ROLE,
    USAGE,
    Exchange,
    chat_servers,
    chunk,
    hangs,
    hangs_after,
    resets_after,
    says,
    sends,
)
from tests.support.waiting import until
from tests.unit.endpoints.pools import plan, pool_over, states, told

CUT = sends([ROLE, chunk("Bees ")])
ERROR = {"error": {"message": "engine died", "code": 500}}


class TestBeforeTheFirstToken:
    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (hangs, "gave no first token within 1 s (WAGGLE_GENERATOR_FIRST_TOKEN_TIMEOUT_S)"),
            (hangs_after(), "gave no first token within 1 s"),
            (resets_after(), "closed the connection"),
            (sends([ROLE]), "ended the stream before the reply"),
            (sends([ROLE, ERROR]), "engine died"),
            (sends([ROLE, "no json"]), "an event that cannot be read"),
        ],
        ids=["hangs", "hangs after its role", "resets", "is cut off", "tells of an error", "sends no JSON"],
    )
    async def test_another_endpoint_is_asked(self, fault: Callable, reason: str) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = fault
            assert await told(pool, first_s=1.0) == "Bees dance."
            assert reason in pool.stats()[0].last_error
            assert pool.stats()[0].failures == 1

    async def test_one_that_is_silent_is_asked_once(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = hangs
            with pytest.raises(TransientError, match="WAGGLE_GENERATOR_FIRST_TOKEN_TIMEOUT_S"):
                await told(pool, first_s=0.2)
            await until(server.exchanges[0].left.is_set)
            assert len(server.chats) == 1

    async def test_comments_do_not_pass_for_tokens(self) -> None:
        async def pings(exchange: Exchange) -> None:
            await exchange.open_stream()
            for _ in range(1000):
                await exchange.raw(b": ping\n\n")
                await asyncio.sleep(0.02)

        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = pings
            with pytest.raises(TransientError, match="gave no first token"):
                await told(pool, first_s=0.3)

    async def test_a_page_without_end_is_left(self) -> None:
        async def talks(exchange: Exchange) -> None:
            await exchange.open_stream(media_type="text/html")
            await exchange.raw(b"<html>")
            await exchange.until_client_leaves()

        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = talks
            with pytest.raises(TransientError, match="answered with text/html"):
                await told(pool)
            await until(server.exchanges[0].left.is_set)

    async def test_an_error_in_the_stream_is_judged_like_a_reply(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = sends([{"error": {"message": "maximum context length is 5", "code": 400}}])
            with pytest.raises(PermanentError, match="WAGGLE_GENERATOR_CONTEXT_TOKENS"):
                await told(pool)


class TestAfterTheFirstToken:
    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (hangs_after("Bees "), r"was silent for 1 s \(WAGGLE_GENERATOR_GAP_TIMEOUT_S\)"),
            (resets_after("Bees "), "closed the connection"),
            (CUT, "ended the stream before the reply"),
            (sends([ROLE, chunk("Bees "), ERROR]), "engine died"),
        ],
        ids=["hangs", "resets", "is cut off", "tells of an error"],
    )
    async def test_the_answer_is_broken_off(self, fault: Callable, reason: str) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = fault
            with pytest.raises(TransientError, match=f"the answer was broken off: {servers[0].url} .*{reason}"):
                await told(pool, gap_s=1.0)
            assert servers[1].chats == []
            assert pool.stats()[0].failures == 1

    async def test_one_that_always_breaks_off_is_left_out(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = CUT
            for _ in range(3):
                with pytest.raises(TransientError, match="broken off"):
                    await told(pool)
            assert states(pool) == [EndpointState.FAILING]

    async def test_the_gap_is_counted_from_token_to_token(self) -> None:
        async def slow(exchange: Exchange) -> None:
            await exchange.open_stream()
            for text in ("Bees ", "dance", "."):
                await exchange.event(chunk(text))
                await asyncio.sleep(0.4)
            await exchange.event(chunk(finish="stop"))
            await exchange.end_stream()

        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = slow
            assert await told(pool, first_s=1.0, gap_s=1.0) == "Bees dance."  # takes 1.2 s

    async def test_a_reader_that_takes_its_time_is_no_gap(self) -> None:
        async with (
            chat_servers() as (server,),
            pool_over([server]) as pool,
            aclosing(pool.stream("/chat/completions", {"m": 1}, plan(gap_s=0.5))) as items,
        ):
            await anext(items)
            await asyncio.sleep(0.7)
            assert [item.item async for item in items][-1]["usage"] == USAGE


class TestEnd:
    @pytest.mark.parametrize(
        "reply",
        [
            says("Bees dance.", done=False),
            says("Bees dance.", usage=None),
            sends([chunk("Bees dance.", finish="stop")]),
        ],
        ids=["without [DONE]", "without usage", "all in one"],
    )
    async def test_a_reply_is_whole_when_it_says_why_it_ended(self, reply: Callable) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = reply
            assert await told(pool) == "Bees dance."

    async def test_nothing_after_the_end_matters(self) -> None:
        async def stays(exchange: Exchange) -> None:
            await exchange.open_stream()
            await exchange.event(chunk("Bees dance."))
            await exchange.event(chunk(finish="stop"))
            await exchange.until_client_leaves()

        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = stays
            assert await told(pool, gap_s=1.0) == "Bees dance."
            assert pool.stats()[0].failures == 0

    async def test_an_empty_reply_is_one(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = says()
            assert await told(pool) == ""

    async def test_closing_stops_the_server_and_counts_as_nothing(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = hangs_after("Bees ")
            async with aclosing(pool.stream("/chat/completions", {"m": 1}, plan())) as items:
                await anext(items)
            await until(server.exchanges[0].left.is_set)
            stats = pool.stats()[0]
            assert (stats.requests, stats.failures, stats.in_flight) == (1, 0, 0)

    async def test_cancelling_stops_the_server(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = hangs
            waiting = asyncio.create_task(told(pool))
            await until(lambda: server.in_flight == 1)
            waiting.cancel()
            await until(server.exchanges[0].left.is_set)
            assert pool.stats()[0].in_flight == 0
