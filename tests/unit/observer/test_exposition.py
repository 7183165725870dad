"""The observer's `/metrics` answers, in both formats, and nobody can hold it up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs

from observability.exposition.formats import Format
from tests.support.waiting import until
from workers.observer import exposition
from workers.observer.exposition import MetricsEndpoint


@asynccontextmanager
async def serving(
    render: Callable[[Format], bytes] = lambda wanted: wanted.encode(), port: int = 0
) -> AsyncIterator[str]:
    endpoint = MetricsEndpoint(render, host="127.0.0.1", port=port)
    task = asyncio.create_task(endpoint.run())
    try:
        await until(endpoint.listening.is_set)
        yield endpoint.url
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled(), task


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = httpx.URL(url).netloc.decode().partition(":")
    return await asyncio.open_connection(host, int(port))


async def test_it_answers_in_the_format_that_is_asked_for() -> None:
    async with serving() as url, httpx.AsyncClient(trust_env=False) as http:
        text = await http.get(url)
        assert (text.text, text.headers["content-type"]) == ("text", "text/plain; version=0.0.4; charset=utf-8")
        for as_json in (
            await http.get(url, params={"format": "json"}),
            await http.get(url, headers={"Accept": "application/json"}),
        ):
            assert (as_json.text, as_json.headers["content-type"]) == ("json", "application/json")
        assert (await http.get(url, params={"format": "xml"})).status_code == 400
        assert (await http.post(url)).status_code == 405
        assert (await http.get(url.removesuffix("metrics"))).status_code == 404


async def test_an_address_that_is_taken_is_had_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "REBIND_S", 0.05)
    with capture_logs() as lines:
        async with serving() as url:
            port = httpx.URL(url).port or 0
            second = MetricsEndpoint(lambda _: b"second", host="127.0.0.1", port=port)
            task = asyncio.create_task(second.run())
            await until(lambda: any("address cannot be had" in line["event"] for line in lines))
            assert not second.listening.is_set()
        await until(second.listening.is_set)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(url)).text == "second"
        task.cancel()
        await asyncio.wait({task})
    assert len([line for line in lines if "address cannot be had" in line["event"]]) == 1


async def test_a_connection_that_asks_for_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "CONNECTION_S", 0.2)
    async with serving() as url:
        reader, writer = await connected(url)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with asyncio.timeout(10):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
        writer.close()


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as url:
        reader, writer = await connected(url)
        writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_too_many_connections_are_refused_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MOST_CONNECTIONS", 3)
    async with serving() as url, httpx.AsyncClient(trust_env=False) as http:
        idle = [await connected(url) for _ in range(3)]
        assert (await http.get(url)).status_code == 503
        for _, writer in idle:
            writer.close()

        async def is_answered() -> bool:
            return (await http.get(url)).status_code == 200

        await until(is_answered)


async def test_figures_are_rendered_one_at_a_time_and_beside_the_event_loop() -> None:
    release, at_once, most = threading.Event(), list[int](), list[int]()

    def render(_: Format) -> bytes:
        at_once.append(1)
        most.append(len(at_once))
        release.wait(10)
        at_once.pop()
        return b"x"

    async with serving(render) as url, httpx.AsyncClient(trust_env=False, timeout=20) as http:
        answers = [asyncio.create_task(http.get(url)) for _ in range(4)]
        await until(lambda: most)
        release.set()
        assert [answer.status_code for answer in await asyncio.gather(*answers)] == [200] * 4
    assert max(most) == 1
