"""Server-sent events (HTML Living Standard, section 9.2): their bytes, and a response that notices when nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


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

    Quiet times are bridged by comments. Ends when `events` ends, when the client is gone (then `on_gone` is awaited),
    or when `stopping` is set (the reader is told to come back). `events` is closed in every case.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: AsyncIterator[bytes],
        *,
        stopping: asyncio.Event,
        keepalive_s: float,
        retry_ms: int,
        on_gone: Callable[[], Awaitable[None]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(None, 200, {**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._events = events
        self._stopping = stopping
        self._keepalive_s = keepalive_s
        self._retry_ms = retry_ms
        self._on_gone = on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._write(send, reconnect_after(self._retry_ms))
        gone = asyncio.ensure_future(_disconnected(receive))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await self._relay(send, gone, stopping)
        finally:
            gone.cancel()
            stopping.cancel()
        if gone.done() and not gone.cancelled():
            await self._tell_gone()
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _relay(self, send: Send, gone: asyncio.Future[None], stopping: asyncio.Future[bool]) -> None:
        following = asyncio.ensure_future(_next(self._events))
        try:
            while not gone.done():
                waited, _ = await asyncio.wait(
                    {following, gone, stopping}, timeout=self._keepalive_s, return_when=asyncio.FIRST_COMPLETED
                )
                if following in waited:
                    chunk = following.result()
                    if chunk is None:
                        return
                    await self._write(send, chunk)
                    following = asyncio.ensure_future(_next(self._events))
                elif stopping in waited:
                    await self._write(send, comment("stopping, please reconnect"))
                    return
                elif not waited:
                    await self._write(send, comment("waiting"))
        finally:
            await _close(following, self._events)

    async def _tell_gone(self) -> None:
        if self._on_gone is not None:
            await self._on_gone()

    async def _write(self, send: Send, chunk: bytes) -> None:
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


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
