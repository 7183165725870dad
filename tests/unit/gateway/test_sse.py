"""An event stream ends for one of three reasons, and lets go of what it holds in each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway import sse
from tests.support.waiting import until


class Client:
    """The other side of an ASGI response."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.finished = False
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message) -> None:
        self.sent.append(message.get("body", b""))
        self.finished = message["type"] == "http.response.body" and not message["more_body"]


class Source:
    """Events, and whether everything was closed in the end."""

    def __init__(self, *events: bytes, endless: bool = False) -> None:
        self._events = events
        self._endless = endless
        self.closed: list[str] = []
        self.waiting = asyncio.Event()

    async def events(self) -> AsyncIterator[bytes]:
        try:
            for event in self._events:
                yield event
            if self._endless:
                self.waiting.set()
                await asyncio.Future()
        finally:
            self.closed.append("events")

    def resources(self) -> AsyncExitStack:
        stack = AsyncExitStack()
        stack.callback(self.closed.append, "resources")
        return stack


async def serve(source: Source, client: Client, *, stopping: asyncio.Event | None = None, on_gone=None) -> None:
    stream = sse.EventStream(
        source.events(),
        stopping=stopping or asyncio.Event(),
        keepalive_s=0.05,
        retry_ms=700,
        on_gone=on_gone,
        resources=source.resources(),
    )
    await stream({"type": "http"}, client.receive, client.send)


@pytest.fixture
def left() -> list[str]:
    return []


async def test_a_stream_that_ends_is_finished_and_nobody_is_said_to_have_left(left):
    async def on_gone() -> None:
        left.append("left")

    source, client = Source(b"one", b"two"), Client()
    await serve(source, client, on_gone=on_gone)
    assert client.sent == [b"", b"retry: 700\n\n", b"one", b"two", b""]
    assert client.finished
    assert source.closed == ["events", "resources"]
    assert left == []


async def test_a_client_that_leaves_is_told_of_after_everything_is_closed(left):
    source, client = Source(b"one", endless=True), Client()

    async def on_gone() -> None:
        left.extend(source.closed)

    serving = asyncio.create_task(serve(source, client, on_gone=on_gone))
    await source.waiting.wait()
    client.gone.set()
    await serving
    assert left == ["events", "resources"]


async def test_stopping_ends_the_stream_with_a_comment_and_leaves_the_work_alone(left):
    async def on_gone() -> None:
        left.append("left")

    source, client, stopping = Source(endless=True), Client(), asyncio.Event()
    stopping.set()
    await serve(source, client, stopping=stopping, on_gone=on_gone)
    assert client.sent[-2:] == [b": stopping, please reconnect\n\n", b""]
    assert client.finished
    assert (source.closed, left) == (["events", "resources"], [])


async def test_quiet_times_are_bridged_by_comments():
    source, client = Source(endless=True), Client()
    serving = asyncio.create_task(serve(source, client))
    await until(lambda: b": waiting\n\n" in client.sent)
    client.gone.set()
    await serving


async def test_a_source_that_fails_is_closed_too():
    source, client = Source(), Client()

    async def failing() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("broken")

    stream = sse.EventStream(
        failing(), stopping=asyncio.Event(), keepalive_s=1, retry_ms=1, resources=source.resources()
    )
    with pytest.raises(RuntimeError, match="broken"):
        await stream({"type": "http"}, client.receive, client.send)
    assert source.closed == ["resources"]
    assert not client.finished


def test_an_event_is_encoded_with_its_resume_id():
    assert sse.encode("delta", "{}", event_id="1.2") == b"id: 1.2\nevent: delta\ndata: {}\n\n"
    assert sse.encode("ready", "{}") == b"event: ready\ndata: {}\n\n"
