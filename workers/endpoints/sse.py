"""Reads server-sent events from bytes (HTML Living Standard, section 9.2.6).

Lines end with CR, LF or both and nothing else: JSON may hold U+2028 and other signs that `str.splitlines` takes for ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_EVENT_BYTES = 1024 * 1024
_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventTooLargeError(Exception):
    """A line or an event that is larger than any of a model's."""


class EventDecoder:
    """Takes bytes as they come, gives the data of the events that are complete. Comments and other fields are left out."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The data of the events that `chunk` completes. Raises `EventTooLargeError`, `UnicodeDecodeError`."""
        self._rest += chunk
        if len(self._rest) > MAX_EVENT_BYTES + len(chunk):
            raise EventTooLargeError
        if b"\n" not in chunk and b"\r" not in self._rest[-len(chunk) - 1 :]:
            return  # a long line that comes in many pieces is not searched from its beginning for each
        *lines, rest = _END.split(self._rest)
        self._rest = bytearray(rest)
        for line in lines:
            yield from self._take(bytes(line))

    def _take(self, line: bytes) -> Iterator[str]:
        if not line:
            if self._data:
                yield b"\n".join(self._data).decode()
            self._data, self._size = [], 0
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLargeError
