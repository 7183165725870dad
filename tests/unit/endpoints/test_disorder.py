"""Whatever endpoints do, a request ends with a whole reply or an error, and nothing is left behind."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random

import pytest

from contracts.endpoint_reports import EndpointState
from contracts.endpoints import Balance
from contracts.errors import WaggleError
from tests.support.chat_servers import (
    ROLE,
    ChatServer,
    chat_servers,
    chunk,
    fails,
    hangs,
    hangs_after,
    page,
    resets,
    resets_after,
    says,
    sends,
)
from tests.support.waiting import until
from tests.unit.endpoints.pools import BRISK, plan, pool_over, states, told
from workers.endpoints.pool import EndpointPool

WHOLE = "Bees dance in circles."
GOOD = says("Bees ", "dance ", "in circles.")
FAULTS = (
    fails(500),
    fails(429, Retry_After="0.05"),
    fails(401),
    page(),
    resets,
    resets_after(),
    resets_after("Bees "),
    hangs,
    hangs_after("Bees "),
    sends([ROLE]),
    sends([ROLE, chunk("Bees ")]),
    sends([{"error": {"message": "no", "code": 503}}]),
)
REQUESTS = 40
PATIENCE_S = 1.0
"""Long enough for a good endpoint on a busy machine."""
HEALTHY = EndpointState.HEALTHY


def disturb(server: ChatServer, random: Random) -> None:
    server.always = GOOD
    server.then(*(random.choice([GOOD, GOOD, *FAULTS]) for _ in range(REQUESTS)))


async def ask(pool: EndpointPool, number: int) -> str:
    """Every fifth reader leaves after the first item."""
    if number % 5:
        return await told(pool, first_s=PATIENCE_S, gap_s=PATIENCE_S)
    async with aclosing(
        pool.stream("/chat/completions", {"m": 1}, plan(first_s=PATIENCE_S, gap_s=PATIENCE_S))
    ) as items:
        await anext(items)
    return WHOLE


@pytest.mark.parametrize("seed", range(6))
async def test_replies_are_whole_or_errors(seed: int) -> None:
    random = Random(seed)
    async with chat_servers(3) as servers:
        for server in servers:
            disturb(server, random)
        balance = random.choice(list(Balance))
        async with pool_over(servers, balance=balance, standbys=seed % 2, pauses=BRISK) as pool:
            asked = (ask(pool, number) for number in range(REQUESTS))
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(outcome, WaggleError) for outcome in outcomes if outcome != WHOLE)
            assert WHOLE in outcomes
            assert [stats.in_flight for stats in pool.stats()] == [0, 0, 0]
            assert sum(len(server.chats) for server in servers) <= REQUESTS * (len(servers) + 1)
            for server in servers:
                server._next.clear()
                server.always = GOOD
            await pool.look()
            await until(lambda: HEALTHY in states(pool))
            assert await told(pool) == WHOLE
