"""Pools over the servers of a test, and requests to them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from pydantic import JsonValue, SecretStr

from contracts.endpoint_reports import EndpointState
from contracts.endpoints import Balance, EndpointAddress
from contracts.errors import ErrorCode
from tests.support.chat_servers import MODEL, ChatServer
from workers.endpoints.field_rules import FieldRules
from workers.endpoints.pool import EndpointPool
from workers.endpoints.probing import ProbePauses
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.streaming import StreamPlan

BRISK = ProbePauses(first_s=0.02, max_s=0.1, timeout_s=1.0)
NEVER = ProbePauses(first_s=3600, max_s=3600, timeout_s=1.0)
PURPOSE = Purpose(
    variables="WAGGLE_GENERATOR",
    operation="chat",
    route="/chat/completions",
    model=MODEL,
    code=ErrorCode.GENERATION_FAILED,
)
KEY = "sk-honeycomb"
RULES = FieldRules(
    renamed={"max_tokens": "max_completion_tokens"},
    optional=frozenset({"temperature", "seed"}),
    suspected=frozenset({"stream_options"}),
)


def limit(seconds: float, name: str) -> TimeLimit:
    return TimeLimit(seconds=seconds, setting=PURPOSE.setting(name))


@asynccontextmanager
async def pool_over(
    servers: Sequence[ChatServer],
    *,
    balance: Balance = Balance.ROUND_ROBIN,
    weights: Sequence[int] = (),
    standbys: int = 0,
    pauses: ProbePauses = NEVER,
) -> AsyncIterator[EndpointPool]:
    """A started pool; the last `standbys` of the servers are standbys."""
    addresses = [
        EndpointAddress(url=server.url, weight=weights[n] if weights else 1, standby=n >= len(servers) - standbys)
        for n, server in enumerate(servers)
    ]
    pool = EndpointPool(
        addresses,
        PURPOSE,
        balance=balance,
        connect=limit(5, "CONNECT_TIMEOUT_S"),
        api_key=SecretStr(KEY),
        pauses=pauses,
    )
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def plan(*, first_s: float = 10, gap_s: float = 10) -> StreamPlan[dict[str, Any]]:
    """Reads events as they are; a text begins and a finish reason ends a reply."""
    return StreamPlan(
        read=json.loads,
        begins=lambda item: bool(_choice(item).get("delta", {}).get("content")),
        ends=lambda item: bool(_choice(item).get("finish_reason")),
        first=limit(first_s, "FIRST_TOKEN_TIMEOUT_S"),
        gap=limit(gap_s, "GAP_TIMEOUT_S"),
    )


async def told(pool: EndpointPool, *, first_s: float = 10, gap_s: float = 10, **fields: JsonValue) -> str:
    """The whole text of a streamed reply to a request with these fields."""
    text = ""
    body: dict[str, JsonValue] = {"model": MODEL, "messages": [], "stream": True, **fields}
    streamed = pool.stream("/chat/completions", body, plan(first_s=first_s, gap_s=gap_s), rules=RULES)
    async with aclosing(streamed) as items:
        async for item in items:
            text += _choice(item.item).get("delta", {}).get("content") or ""
    return text


def states(pool: EndpointPool) -> list[EndpointState]:
    return [stats.state for stats in pool.stats()]


def _choice(item: dict[str, Any]) -> dict[str, Any]:
    return next(iter(item.get("choices") or []), {})
