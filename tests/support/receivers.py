"""A receiver of notifications over HTTP for tests: a real server on a port of this host, whose replies a test decides."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.connections import serving


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came; names of headers in small letters."""

    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What comes back. `hangs`: nothing does. `breaks_off`: the connection ends instead. `length`: what is promised."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    breaks_off: bool = False
    endless: bool = False
    length: int | None = None


class HttpReceiver:
    """Answers with what is in `next`, one reply after the other, then with `otherwise`."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.next: deque[Reply] = deque()
        self.otherwise = Reply()
        self.port = 0
        self.scheme = "http"
        self._open = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @classmethod
    @asynccontextmanager
    async def running(cls, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
        receiver = cls()
        receiver.scheme = "https" if tls else "http"
        async with serving(receiver._serve, release=receiver._open, tls=tls) as receiver.port:
            yield receiver

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        self.received.append(Received(path=path, headers=headers, content=content))
        reply = self.next.popleft() if self.next else self.otherwise
        if reply.hangs:
            await self._open.wait()
        if reply.hangs or reply.breaks_off:
            return
        length = len(reply.body) if reply.length is None else reply.length
        lines = [f"HTTP/1.1 {reply.status} x", f"Content-Length: {length}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        await writer.drain()
        while reply.endless:
            writer.write(b"x" * 65536)
            await writer.drain()
