"""HTTP/1.1 connections that cannot be held open for nothing: uvicorn's protocol with bounds on request heads and on readers.

Uvicorn itself bounds neither the size of a request head nor the time it takes, nor how long the rest of a refused body
may go on arriving, nor how long a response may wait for a reader that does not read.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import json
import termios
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_MAX_BYTES = 32 * 1024
HEAD_TIMEOUT_S = 30.0
"""How long a connection without a request in hand may take to bring the head of the next one."""
SEND_TIMEOUT_S = 30.0
SEND_PROGRESS_BYTES = 4 * 1024
"""So much of what waits to be sent a reader has to take in each `SEND_TIMEOUT_S`."""


class HeadTooLargeError(Exception):
    """Stops the parser; the client is answered 431."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes connections whose next request head is too large or too slow, and answers unreadable ones by a problem. Cuts readers
    off that do not read while more waits to be sent than may; whoever answers them is told that the client is gone.
    """

    head_max_bytes = HEAD_MAX_BYTES
    head_timeout_s = HEAD_TIMEOUT_S
    send_timeout_s = SEND_TIMEOUT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._count_head(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.head_max_bytes:
            raise HeadTooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers come here, too, and are no headers (RFC 9110, section 6.5.1)
            super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self.head_max_bytes:
            raise HeadTooLargeError

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """Also reached for `HeadTooLargeError`, which the parser wraps."""
        if self._head_bytes > self.head_max_bytes or len(self.url) > self.head_max_bytes:
            self._refuse(431, "Request Header Fields Too Large", "head_too_large", "Send shorter headers.")
        else:
            self._refuse(400, "Bad Request", "malformed_request", "This is not a valid HTTP/1.1 request.")

    def _count_head(self, size: int) -> None:
        """The parser hands headers over only when they are whole, so an endless one is seen here."""
        self._head_bytes += size
        if self._head_bytes > 2 * self.head_max_bytes and not self.transport.is_closing():
            self.send_400_response("")

    def _expect_head(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        idle = cycle is None or cycle.response_complete
        if idle and self.transport.get_write_buffer_size():
            self.transport.abort()  # closing would wait until it is read
        elif idle and not self.transport.is_closing():
            self.transport.close()

    def _watch_reader(self) -> None:
        self._send_timer = self.loop.call_later(self.send_timeout_s, self._judge_reader, self._untaken())

    def _judge_reader(self, before: int) -> None:
        if self._untaken() > before - SEND_PROGRESS_BYTES:
            self.transport.abort()
        else:
            self._watch_reader()

    def _untaken(self) -> int:
        """Bytes that wait to be sent, here and in the kernel, which asks for more only when it has got rid of a megabyte."""
        in_kernel = array.array("i", [0])
        with contextlib.suppress(OSError, AttributeError):
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, in_kernel)
        return self.transport.get_write_buffer_size() + in_kernel[0]

    def _stop_watching(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _refuse(self, status: int, title: str, code: str, detail: str) -> None:
        document = {
            "type": f"urn:waggle:problem:{code}", "title": title, "status": status, "detail": detail, "code": code
        }  # fmt: skip
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
