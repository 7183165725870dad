"""A stack whose model is not there yet: everybody who looks is told, and the question waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.waggle import Waggle
from tests.support.chat_servers import MODEL, ChatServer, chat_servers, says
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    """Not listening yet; it has its port."""
    async with chat_servers() as (server,):
        await server.stop()
        server.always = says("It opens at nine [1].")
        yield server


@pytest.fixture
async def waggle(server: ChatServer, tmp_path: Path) -> AsyncIterator[Waggle]:
    stack = Waggle(
        data_dir=tmp_path / "data",
        settings={
            "WAGGLE_ENCODER": "simulated",
            "WAGGLE_GENERATOR": "openai",
            "WAGGLE_GENERATOR_ENDPOINTS": server.url,
            "WAGGLE_GENERATOR_MODEL": MODEL,
        },
    )
    yield stack
    await asyncio.to_thread(stack, "down")


def failing(told: Any) -> list[tuple[str, str]]:
    return [
        (member["service"], check["name"])
        for member in told["items"]
        for check in member["checks"]
        if check["status"] == "failing"
    ]


async def test_a_model_that_is_away_from_the_start_is_told_by_up_and_status_until_it_is_there(
    waggle: Waggle, server: ChatServer, tmp_path: Path
) -> None:
    up = await asyncio.to_thread(waggle.up)
    assert "Waggle is ready" in up.stdout
    assert (
        f"generate-1 waits for its generator: breaker open: EndpointsAwayError: no endpoint answered: {server.url}"
        in (up.stdout)
    )
    assert "start it, or check WAGGLE_GENERATOR_ENDPOINTS" in up.stdout

    told = await asyncio.to_thread(waggle.json, "status", code=1)
    assert failing(told) == [("generate", "generator")]
    (backends,) = (check for check in told["readiness"]["checks"] if check["name"] == "backends")
    assert (told["readiness"]["status"], backends["status"]) == ("ready", "failing")

    (tmp_path / "hours.txt").write_text("The honey shop opens at nine.", encoding="utf-8")
    await asyncio.to_thread(waggle, "ingest", str(tmp_path / "hours.txt"))
    asking = asyncio.create_task(asyncio.to_thread(waggle.json, "ask", "When does the honey shop open?"))
    await server.start()
    assert (await asking)["answer"] == "It opens at nine [1]."

    async def all_is_well() -> bool:
        return (await asyncio.to_thread(waggle, "status", code=None)).returncode == 0

    await until(all_is_well, timeout_s=60)
