"""A server of documents for tests: a real one on a port of this host, whose answers a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.connections import serving


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came; names of headers in small letters."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What there is at a path. `length` is what is promised, None promises nothing. `endless` goes on after the body, `hangs` stops."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    endless: bool = False
    hangs: bool = False
    drips: bool = False


NOTHING = Page(status=404, length=0)


class SourceServer:
    """Answers by `pages`, else by `otherwise`; counts connections also where nothing is asked for on them."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.otherwise = NOTHING
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.sent = 0
        self.port = 0
        self._open = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[SourceServer]:
        server = cls()
        async with serving(server._serve, release=server._open) as server.port:
            yield server

    def put(self, path: str, body: bytes = b"Bees dance.", **of_page: object) -> str:
        """A page of a length that is as promised, unless it says otherwise; its URL."""
        self.pages[path] = Page(**({"body": body, "length": len(body)} | of_page))  # type: ignore[arg-type]  # a page's fields
        return f"{self.url}{path}"

    def redirect(self, path: str, location: str, *, status: int = 302) -> str:
        return self.put(path, b"", status=status, headers={"Location": location})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self._exchange(reader, writer)
        finally:
            self.open -= 1

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        self.asked.append(Asked(path=head[0].split(" ")[1], headers=headers))
        await self._answer(self.pages.get(self.asked[-1].path.partition("?")[0], self.otherwise), writer)

    async def _answer(self, page: Page, writer: asyncio.StreamWriter) -> None:
        etag, known = page.headers.get("ETag"), self.asked[-1].headers.get("if-none-match")
        status, body = (304, b"") if etag and etag == known else (page.status, page.body)
        lines = [f"HTTP/1.1 {status} x", "Connection: close"]
        if page.length is not None and status != 304:
            lines.append(f"Content-Length: {page.length}")
        lines += [f"{name}: {value}" for name, value in page.headers.items()]
        await self._write(writer, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        while page.endless:
            await self._write(writer, b"x" * 65536)
        while page.drips:
            await self._write(writer, b"x")
            await asyncio.sleep(0.01)
        if page.hangs:
            await self._open.wait()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)
