"""`waggle dlq`, as people run it, on a real gateway and a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass

import pytest

from tests.support.failing_ingest import fail, letters
from tests.support.gateways import Gateway
from tests.support.waiting import until


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


async def dlq(gateway: Gateway, *arguments: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "dlq", *arguments),
        env={**os.environ, "WAGGLE_URL": gateway.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


async def test_letters_are_listed_and_shown(gateway, ingest):
    assert (await dlq(gateway, "ls")).out == "No dead letters.\n"
    letter = await fail(gateway, "bees")
    ran = await dlq(gateway, "ls")
    assert all(part in ran.out for part in (letter["id"], "bees", "parser_crashed", "the parser is broken"))
    assert json.loads((await dlq(gateway, "ls", "--json")).out) == {"items": [letter], "more": False}
    ran = await dlq(gateway, "show", letter["id"])
    assert "PermanentError: the parser is broken\n  because of OSError: no parser" in ran.out
    assert '"document_id": "bees"' in ran.out
    assert json.loads((await dlq(gateway, "show", letter["id"], "--json")).out)["letter"] == letter


async def test_a_list_may_be_cut_short(gateway, ingest):
    for name in ("a", "b", "c"):
        await fail(gateway, name)
    ran = await dlq(gateway, "ls", "--limit", "2", "--json")
    assert [len(json.loads(ran.out)["items"]), json.loads(ran.out)["more"]] == [2, True]
    assert json.loads((await dlq(gateway, "ls", "--document", "c", "--json")).out)["items"][0]["document_id"] == "c"


async def test_one_is_replayed_and_one_that_is_gone_is_told(gateway, ingest):
    letter = await fail(gateway, "bees")
    ingest.mended = True
    ran = await dlq(gateway, "replay", letter["id"], "INGEST.404-1")
    assert ran.code == 1
    assert f"✓ {letter['id']}  replayed" in ran.out
    assert "✗ INGEST.404-1  There is no dead letter INGEST.404-1." in ran.out
    await until(lambda: len(ingest.seen) == 2)


async def test_all_that_match_are_replayed(gateway, ingest):
    for name in ("a", "b"):
        await fail(gateway, name)
    ingest.mended = True
    assert json.loads((await dlq(gateway, "replay", "--all", "--stream", "EMBED", "--json")).out)["items"] == []
    ran = await dlq(gateway, "replay", "--all", "--code", "parser_crashed")
    assert (ran.code, ran.out.count("replayed")) == (0, 2)
    await until(lambda: len(ingest.seen) == 4)
    assert await letters(gateway) == []


async def test_letters_are_dropped(gateway, ingest):
    letter = await fail(gateway, "bees")
    ran = await dlq(gateway, "drop", letter["id"], "--json")
    assert json.loads(ran.out) == {"items": [{"id": letter["id"], "dropped": True, "error": ""}]}
    ran = await dlq(gateway, "drop", letter["id"])
    assert (ran.code, "There is no dead letter" in ran.out) == (1, True)


@pytest.mark.parametrize("arguments", [(), ("INGEST.1-1", "--all"), ("INGEST.1-1", "--code", "x")])
async def test_what_is_to_be_replayed_must_be_said(gateway, arguments):
    ran = await dlq(gateway, "replay", *arguments)
    assert (ran.code, "waggle dlq ls" in ran.err) == (2, True)
