"""`waggle dlq`, as people run it, on a real gateway and a real broker."""

from __future__ import annotations

import pytest

from tests.support.commands import Command
from tests.support.failing_ingest import fail, letters
from tests.support.gateways import Gateway
from tests.support.waiting import until


@pytest.fixture
def dlq(gateway: Gateway) -> Command:
    return Command("dlq", environment={"WAGGLE_URL": gateway.url})


async def test_letters_are_listed_and_shown(gateway, ingest, dlq):
    assert (await dlq("ls")).out == "No dead letters.\n"
    letter = await fail(gateway, "bees")
    ran = await dlq("ls")
    assert all(part in ran.out for part in (letter["id"], "bees", "parser_crashed", "the parser is broken"))
    assert (await dlq("ls", "--json")).json == {"items": [letter], "more": False}
    ran = await dlq("show", letter["id"])
    assert "PermanentError: the parser is broken\n  because of OSError: no parser" in ran.out
    assert '"document_id": "bees"' in ran.out
    assert (await dlq("show", letter["id"], "--json")).json["letter"] == letter


async def test_a_list_may_be_cut_short(gateway, ingest, dlq):
    for name in ("a", "b", "c"):
        await fail(gateway, name)
    ran = await dlq("ls", "--limit", "2", "--json")
    assert [len(ran.json["items"]), ran.json["more"]] == [2, True]
    assert (await dlq("ls", "--document", "c", "--json")).json["items"][0]["document_id"] == "c"


async def test_one_is_replayed_and_one_that_is_gone_is_told(gateway, ingest, dlq):
    letter = await fail(gateway, "bees")
    ingest.mended = True
    ran = await dlq("replay", letter["id"], "INGEST.404-1")
    assert ran.code == 1
    assert f"✓ {letter['id']}  replayed" in ran.out
    assert "✗ INGEST.404-1  There is no dead letter INGEST.404-1" in ran.out
    await until(lambda: len(ingest.seen) == 2)


async def test_all_that_match_are_replayed(gateway, ingest, dlq):
    for name in ("a", "b"):
        await fail(gateway, name)
    ingest.mended = True
    assert (await dlq("replay", "--all", "--stream", "EMBED", "--json")).json["items"] == []
    ran = await dlq("replay", "--all", "--code", "parser_crashed")
    assert (ran.code, ran.out.count("replayed")) == (0, 2)
    await until(lambda: len(ingest.seen) == 4)
    assert await letters(gateway) == []


async def test_letters_are_dropped(gateway, ingest, dlq):
    letter = await fail(gateway, "bees")
    ran = await dlq("drop", letter["id"], "--json")
    assert ran.json == {"items": [{"id": letter["id"], "dropped": True, "error": ""}]}
    ran = await dlq("drop", letter["id"])
    assert (ran.code, "There is no dead letter" in ran.out) == (1, True)


@pytest.mark.parametrize("arguments", [(), ("INGEST.1-1", "--all"), ("INGEST.1-1", "--code", "retries_exhausted")])
async def test_what_is_to_be_replayed_must_be_said(dlq, arguments):
    ran = await dlq("replay", *arguments)
    assert (ran.code, "waggle dlq ls" in ran.err) == (2, True)


@pytest.mark.parametrize(
    "arguments", [("ls", "--stream", "NOPE"), ("ls", "--code", "x"), ("replay", "--all", "--stream", "NOPE")]
)
async def test_a_filter_that_cannot_match_is_said(dlq, arguments):
    ran = await dlq(*arguments)
    assert (ran.code, "there is no" in ran.err) == (2, True)
