"""Server-sent events (HTML Living Standard, section 9.2): their bytes, and a response that notices when nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


def encode(event: str, data: str, *, event_id: str | None = None) -> bytes:
    """One event. `data` is JSON, hence one line."""
    identified = f"id: {event_id}\n" if event_id is not None else ""
    return f"{identified}event: {event}\ndata: {data}\n\n".encode()


def comment(text: str) -> bytes:
    return f": {text}\n\n".encode()


def reconnect_after(milliseconds: int) -> bytes:
    """How long a reader waits before it reconnects with `Last-Event-ID`."""
    return f"retry: {milliseconds}\n\n".encode()


class EventStream(Response):
    """Sends encoded events as they come.

    With `last_words` a stream cannot be resumed: they are what is said when `stopping` is set, and `on_gone` is awaited then, too.
    Quiet times are bridged by comments. Without `retry_ms` readers are not told to come back. Ends when `events` ends, when the client is gone (then `on_gone` is awaited),
    or when `stopping` is set (the reader is told to come back). In every case `events` and then `resources` are closed.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: AsyncIterator[bytes],
        *,
        stopping: asyncio.Event,
        keepalive_s: float,
        retry_ms: int | None,
        on_gone: Callable[[], Awaitable[None]] | None = None,
        last_words: bytes | None = None,
        resources: AsyncExitStack | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(None, 200, {**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._events = events
        self._stopping = stopping
        self._keepalive_s = keepalive_s
        self._retry_ms = retry_ms
        self._on_gone = on_gone
        self._last_words = last_words
        self._resources = resources or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(disconnected(receive))
        stopping = asyncio.ensure_future(_set(self._stopping))
        try:
            async with self._resources:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                if self._retry_ms is not None:
                    await _write(send, reconnect_after(self._retry_ms))
                left = await self._relay(send, gone, stopping)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            if left and self._on_gone is not None:
                await self._on_gone()
        finally:
            gone.cancel()
            stopping.cancel()

    async def _relay(self, send: Send, gone: asyncio.Future[None], stopping: asyncio.Future[None]) -> bool:
        """True when nobody follows to the end: the client left, or was told its last words."""
        following = asyncio.ensure_future(_next(self._events))
        try:
            while not gone.done():
                watched: set[asyncio.Future[Any]] = {following, gone, stopping}
                waited, _ = await asyncio.wait(watched, timeout=self._keepalive_s, return_when=asyncio.FIRST_COMPLETED)
                if following in waited:
                    chunk = following.result()
                    if chunk is None:
                        return False
                    await _write(send, chunk)
                    following = asyncio.ensure_future(_next(self._events))
                elif stopping in waited:
                    await _write(send, self._last_words or comment("stopping, please reconnect"))
                    return self._last_words is not None
                elif not waited:
                    await _write(send, comment("waiting"))
            return True
        finally:
            await _close(following, self._events)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    return await anext(events, None)


async def _close(following: asyncio.Future[bytes | None], events: AsyncIterator[bytes]) -> None:
    """Stop the read under way, then let the source release what it holds."""
    following.cancel()
    await asyncio.wait({following})
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
