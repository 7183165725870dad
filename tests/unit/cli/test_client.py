"""The HTTP client: what it sends, and what it makes of errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from cli import sse
from cli.client import GatewayClient, GatewayError, UnreachableError
from cli.exits import CommandError, Exit
from cli.replies import Answer, Delta, Retrieved
from tests.unit.cli.gateways import FakeGateway, event_stream, problem


def answering(response: httpx.Response) -> GatewayClient:
    return GatewayClient("http://gateway", transport=httpx.MockTransport(lambda _: response))


async def test_a_file_is_sent_with_its_id_and_metadata_before_it(tmp_path: Path) -> None:
    gateway, file = FakeGateway(), tmp_path / "a.txt"
    file.write_text("Bees dance.", encoding="utf-8")

    async with gateway.client() as client:
        accepted = await client.upload(file, name="notes/a.txt", document_id="d1", metadata={"topic": "bees"})

    body = gateway.requests[0].content
    assert accepted.document_id == "d1"
    assert body.index(b'name="metadata"') < body.index(b"Bees dance.")
    assert b'filename="notes/a.txt"' in body


@pytest.mark.parametrize(
    ("status", "code"), [(422, Exit.USAGE), (400, Exit.USAGE), (404, Exit.FAILED), (503, Exit.FAILED)]
)
async def test_a_problem_document_becomes_its_sentence(status: int, code: Exit) -> None:
    async with answering(problem(status, "some_code", "query: too long.")) as client:
        with pytest.raises(GatewayError, match="query: too long") as raised:
            await client.query({"query": "x"}, deadline_s=1)

    assert raised.value.code is code


async def test_the_time_to_come_back_is_kept() -> None:
    async with answering(problem(503, "temporarily_unavailable", "Busy.", Retry_After="7")) as client:
        with pytest.raises(GatewayError) as raised:
            await client.documents()

    assert raised.value.retry_after_s == 7


async def test_an_error_without_a_problem_document_still_says_something() -> None:
    async with answering(httpx.Response(502, text="<html>bad gateway</html>")) as client:
        with pytest.raises(GatewayError, match="Bad Gateway"):
            await client.fleet()


async def test_a_gateway_that_is_away_is_said_so_with_what_to_do() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    async with GatewayClient("http://gateway", transport=httpx.MockTransport(refuse)) as client:
        with pytest.raises(UnreachableError, match="http://gateway") as raised:
            await client.fleet()

    assert "waggle up" in raised.value.hint
    assert raised.value.code is Exit.UNREACHABLE


async def test_something_else_at_that_address_is_told_apart() -> None:
    async with answering(httpx.Response(200, json={"hello": "world"})) as client:
        with pytest.raises(CommandError, match="does not answer as a Waggle gateway"):
            await client.documents()


async def test_not_ready_is_an_answer_not_an_error() -> None:
    response = httpx.Response(503, json={"status": "not ready", "checks": [{"name": "nats", "status": "failing"}]})

    async with answering(response) as client:
        readiness = await client.ready()

    assert (readiness.status, readiness.checks[0].name) == ("not ready", "nats")


async def test_a_stream_gives_passages_pieces_and_one_answer() -> None:
    async with FakeGateway().client() as client:
        events = [event async for event in client.stream({"query": "x"}, deadline_s=5)]

    assert [type(event) for event in events] == [Retrieved, Delta, Delta, Answer]


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    broken = event_stream(("delta", {"query_id": "q1", "attempt": 1, "text": "Every"}))

    async with answering(broken) as client:
        with pytest.raises(UnreachableError, match="broke off"):
            _ = [event async for event in client.stream({"query": "x"}, deadline_s=5)]


async def test_events_are_read_across_comments_ids_and_several_lines() -> None:
    async def lines() -> AsyncIterator[str]:
        for line in (": hello", "id: 7", "event: delta", "data: one", "data:two", "", "data: three", "", "data: cut"):
            yield line

    events = [event async for event in sse.events(lines())]

    assert [(e.event, e.data, e.id) for e in events] == [("delta", "one\ntwo", "7"), ("message", "three", "7")]
