"""The lightest HTTP clients there are, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.corpus import Text

TIMEOUT_S = 120.0
READY_TIMEOUT_S = 900.0
POLL_S = 0.05
PAGE = 200
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Asker:
    """Asks over one connection, kept open, on the event loop: nothing but bytes between a question and its answer.

    One question at a time.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, *, key: str | None = None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._head = f"Host: {host}\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, *, key: str | None = None) -> AsyncIterator[Asker]:
        """Close it by leaving the body. `key` is shown with every question."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            yield cls(reader, writer, parts.netloc, key=key)
        finally:
            writer.close()
            await writer.wait_closed()

    async def ask(self, question: str, *, generate: bool = True, cache: bool = False) -> dict[str, Any]:
        """Raises `RuntimeError` for anything but success, and `TimeoutError` after `TIMEOUT_S`."""
        body = json.dumps({"query": question, "generate": generate, "cache": cache}).encode()
        head = (
            f"POST /v1/query HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        async with asyncio.timeout(TIMEOUT_S):
            self._writer.write(head.encode() + body)
            response = await self._reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(response)
            data = await self._reader.readexactly(int(length[1]) if length else 0)
        if not response.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"POST /v1/query: {response[:60]!r} {data[:300]!r}")
        answer: dict[str, Any] = json.loads(data)
        return answer


class Client:
    """One connection, kept open. `key` is shown with every request. Not thread-safe."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        parts = urlsplit(url)
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises `RuntimeError` for anything but success."""
        payload = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, payload, self._headers)
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
        answer: dict[str, Any] = json.loads(data)
        return answer

    def close(self) -> None:
        self._connection.close()

    def fleet(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call("GET", "/v1/fleet")["items"]
        return items


def submit(url: str, texts: Iterable[Text], *, connections: int = 4, key: str | None = None) -> None:
    """Hand in all texts over a few connections."""

    def send(share: Sequence[Text]) -> None:
        with closing(Client(url, key=key)) as client:
            for text in share:
                body = {"name": text.name, "text": text.text, "document_id": text.document_id}
                client.call("POST", "/v1/documents", body)

    every = list(texts)
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, (every[n::connections] for n in range(connections))))


def wait_ready(url: str, document_ids: Iterable[str], *, key: str | None = None) -> None:
    """Return when every document is ready. Raises `RuntimeError` when one failed, or after `READY_TIMEOUT_S`."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    with closing(Client(url, key=key)) as client:
        for document_id in reversed(list(document_ids)):  # the last one first: mostly all are ready then
            while (state := client.call("GET", f"/v1/documents/{document_id}")["state"]) != "ready":
                if state == "failed" or time.monotonic() > deadline:
                    raise RuntimeError(f"document {document_id} is {state}")
                time.sleep(POLL_S)
