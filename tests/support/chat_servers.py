"""OpenAI-compatible servers on loopback that do what a test tells them, faults included.

They speak HTTP by hand over asyncio's sockets, so that they can stop in the middle of anything.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

MODEL = "small"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class Exchange:
    """A request, and what is sent back."""

    def __init__(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.left = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def reply(
        self,
        status: int,
        body: bytes,
        *,
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A whole reply."""
        await self._head(status, {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})})
        await self._send(body)

    async def json(self, status: int, body: Any, *, headers: Mapping[str, str] | None = None) -> None:
        await self.reply(status, json.dumps(body).encode(), headers=headers)

    async def open_stream(self, *, media_type: str = "text/event-stream; charset=utf-8") -> None:
        await self._head(200, {"Content-Type": media_type, "Transfer-Encoding": "chunked"})

    async def raw(self, data: bytes) -> None:
        """Bytes of a stream."""
        await self._send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, body: Any) -> None:
        data = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        await self.raw(f"data: {data}\n\n".encode())

    async def end_stream(self) -> None:
        await self._send(b"0\r\n\r\n")

    async def until_client_leaves(self) -> None:
        """Say nothing more."""
        with suppress(ConnectionError):
            await self._reader.read(1)
        self.left.set()

    def reset(self) -> None:
        """Break the connection, as a process that is killed does."""
        self._writer.transport.abort()

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self._send(f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode())

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Behaviour = Callable[[Exchange], Awaitable[None]]


class ChatServer:
    """Says "Bees dance." unless told otherwise: `then` for the next requests, `always` from now on, `at` by path."""

    def __init__(self) -> None:
        self.always: Behaviour = says("Bees ", "dance.")
        self.models: Any = [{"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 2048}]
        self.at: dict[str, Behaviour] = {"/v1/models": self._list_models}
        self.requests: list[Received] = []
        self.exchanges: list[Exchange] = []
        self.in_flight = 0
        self._next: deque[Behaviour] = deque()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    @property
    def chats(self) -> list[Received]:
        """The requests for an answer; empty ones, which only ask whether somebody is there, are not among them."""
        return [request for request in self.requests if request.path == CHAT and request.body]

    @property
    def probes(self) -> list[Received]:
        return [request for request in self.requests if request.path == "/v1/models"]

    def then(self, *behaviours: Behaviour) -> None:
        """Behave so at the next chat requests, one each."""
        self._next.extend(behaviours)

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections and break those that there are."""
        if self._server is None:
            return
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while (request := await _read(reader)) is not None:
                await self._handle(Exchange(request, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _handle(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        self.exchanges.append(exchange)
        self.in_flight += 1
        try:
            await self._behaviour(exchange.request)(exchange)
        finally:
            self.in_flight -= 1

    def _behaviour(self, request: Received) -> Behaviour:
        if request.path in self.at:
            return self.at[request.path]
        if request.path != CHAT:
            return fails(404, {"detail": "Not Found"})
        if not request.body:
            return fails(400, {"error": {"message": "messages are missing"}})
        return self._next.popleft() if self._next else self.always

    async def _list_models(self, exchange: Exchange) -> None:
        await exchange.json(200, {"object": "list", "data": self.models})


@asynccontextmanager
async def chat_servers(count: int = 1) -> AsyncIterator[list[ChatServer]]:
    """So many servers, each on a port of its own."""
    servers = [ChatServer() for _ in range(count)]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


def chunk(
    text: str | None = None, *, finish: str | None = None, usage: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """An event as vLLM sends it."""
    delta = {} if text is None else {"content": text}
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "model": MODEL, "choices": choices, "usage": usage}


ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def says(*texts: str, finish: str = "stop", usage: Mapping[str, int] | None = USAGE, done: bool = True) -> Behaviour:
    """A good reply."""

    async def behave(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.event(ROLE)
        for text in texts:
            await exchange.event(chunk(text))
        await exchange.event(chunk(finish=finish))
        if usage:
            await exchange.event(chunk(usage=usage))
        if done:
            await exchange.event("[DONE]")
        await exchange.end_stream()

    return behave


def sends(events: Sequence[Any]) -> Behaviour:
    """These events and then the end of the stream."""

    async def behave(exchange: Exchange) -> None:
        await exchange.open_stream()
        for event in events:
            await exchange.event(event)
        await exchange.end_stream()

    return behave


def hangs_after(*texts: str) -> Behaviour:
    """Streams these and then nothing, until the client leaves."""

    async def behave(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.event(ROLE)
        for text in texts:
            await exchange.event(chunk(text))
        await exchange.until_client_leaves()

    return behave


async def hangs(exchange: Exchange) -> None:
    """Takes the request and says nothing at all."""
    await exchange.until_client_leaves()


def resets_after(*texts: str) -> Behaviour:
    """Streams these, then the connection breaks."""

    async def behave(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.event(ROLE)
        for text in texts:
            await exchange.event(chunk(text))
        exchange.reset()

    return behave


async def resets(exchange: Exchange) -> None:
    """Breaks the connection instead of a reply."""
    exchange.reset()


def waits_for(event: asyncio.Event, *texts: str) -> Behaviour:
    """A good reply, once `event` is set."""

    async def behave(exchange: Exchange) -> None:
        await event.wait()
        await says(*texts)(exchange)

    return behave


def fails(status: int, body: Any = None, **headers: str) -> Behaviour:
    """An error; header names are given with underscores."""

    async def behave(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await exchange.json(status, {"error": {"message": "no"}} if body is None else body, headers=named)

    return behave


def page(status: int = 200) -> Behaviour:
    """What another web server has to say."""

    async def behave(exchange: Exchange) -> None:
        await exchange.reply(status, b"<html><h1>Welcome</h1></html>", media_type="text/html; charset=utf-8")

    return behave


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1") if not reader.at_eof() else ""
    if not head:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method=method, path=path, headers=headers, body=json.loads(body) if body else None)
