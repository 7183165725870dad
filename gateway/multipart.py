"""multipart/form-data (RFC 7578), parsed as it arrives: no part is ever held whole, in memory or on disk."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway import problems

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_EXTENDED_NAME = re.compile(r"filename\*=utf-8''([^;\s]+)", re.IGNORECASE)


@dataclass(frozen=True)
class PartHead:
    """What a part says about itself; `file_name` is None for a plain form field."""

    field: str
    file_name: str | None


@dataclass(frozen=True)
class _Data:
    chunk: bytes


class _PartEnd:
    """The boundary after a part."""


_Event = PartHead | _Data | _PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary named in a Content-Type header. Raises a 400 problem when it names none."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise problems.malformed("The Content-Type of a multipart body must name its boundary (1 to 70 characters).")
    return boundary


class Part:
    """One part; its chunks can be read once, and before the next part is asked for."""

    def __init__(self, head: PartHead, events: AsyncIterator[_Event]) -> None:
        self.head = head
        self._events = events
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        while not self._ended:
            event = await anext(self._events, None)  # none: the body broke off in this part, which was told then
            if isinstance(event, _Data):
                yield event.chunk
            else:
                self._ended = True

    async def text(self, *, at_most: int) -> str:
        """The part as UTF-8 text. Raises 413 and 400 problems."""
        read = bytearray()
        async for chunk in self.chunks():
            read += chunk
            if len(read) > at_most:
                raise problems.too_large(f"The form field {self.head.field!r} is larger than {at_most} bytes.")
        try:
            return read.decode("utf-8")
        except UnicodeDecodeError:
            raise problems.malformed(f"The form field {self.head.field!r} is not UTF-8 text.") from None

    async def skip(self) -> None:
        """Read on to the end of the part, keeping nothing."""
        async for _ in self.chunks():
            pass


async def parts(body: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[Part]:
    """The parts of a body in order. What a caller leaves unread of one is skipped.

    Raises a 400 problem where the body is not multipart or breaks off before its closing boundary.
    """
    events = _events(body, boundary)
    async for event in events:
        if isinstance(event, PartHead):
            part = Part(event, events)
            yield part
            await part.skip()


async def _events(body: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[_Event]:
    queue: deque[_Event] = deque()
    collector = _Collector(queue)
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        async for chunk in body:
            parser.write(chunk)
            while queue:
                yield queue.popleft()
            if collector.ended:
                return
    except FormParserError as error:
        raise problems.malformed(f"The body is not valid multipart/form-data: {error}.") from None
    raise problems.malformed("The multipart body breaks off before its closing boundary; send it again.")


class _Collector:
    """Turns the parser's callbacks into events."""

    def __init__(self, queue: deque[_Event]) -> None:
        self._queue = queue
        self._name = b""
        self._value = b""
        self._disposition = b""
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        self._queue.append(_head(self._disposition))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._queue.append(_Data(data[start:end]))

    def _end(self) -> None:
        self._queue.append(_PartEnd())

    def _finish(self) -> None:
        self.ended = True


def _head(disposition: bytes) -> PartHead:
    kind, options = parse_options_header(disposition.decode("latin-1"))
    if kind != b"form-data" or b"name" not in options:
        raise problems.malformed("Each part needs a Content-Disposition of form-data with a name.")
    try:
        field = options[b"name"].decode("utf-8")
        file_name = _file_name(disposition.decode("utf-8"), options)
    except UnicodeDecodeError:
        raise problems.malformed("The name of a part is not UTF-8.") from None
    return PartHead(field=field, file_name=file_name)


def _file_name(disposition: str, options: dict[bytes, bytes]) -> str | None:
    """The plain parameter, or the extended one (RFC 5987) that some clients send for names beyond ASCII."""
    extended = _EXTENDED_NAME.search(disposition)
    if extended:
        return unquote(extended.group(1), errors="strict")
    plain = options.get(b"filename")
    return None if plain is None else plain.decode("utf-8").replace("%22", '"')
