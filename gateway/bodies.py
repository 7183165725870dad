"""Request bodies: read once, chunk by chunk, bounded in size, time and structure."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Message

from gateway import problems
from gateway.limits import Limits

Model = TypeVar("Model", bound=BaseModel)

CROWDED = "The JSON body has far more members than any request here takes."

_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Body:
    """The body of one request.

    Raises a 408 problem when the sender stops or drips, `ClientGoneError` when it is gone. Time that the reader takes
    between two chunks is not held against the sender.
    """

    def __init__(self, request: Request, limits: Limits) -> None:
        self._receive = request.receive
        self._limits = limits
        self._waited_s = 0.0
        self._window_bytes = 0
        self.ended = False
        self.declared_bytes = _declared_bytes(request)
        self.read_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        while not self.ended:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise problems.ClientGoneError
            self.ended = not message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            self._account(chunk)
            if chunk:
                yield chunk

    async def read(self, *, at_most: int) -> bytes:
        """The whole body; a 413 problem as soon as it is known to be longer than `at_most`."""
        if self.declared_bytes is not None and self.declared_bytes > at_most:
            raise _body_too_large(at_most)
        read = bytearray()
        async for chunk in self.chunks():
            read += chunk
            if len(read) > at_most:
                raise _body_too_large(at_most)
        return bytes(read)

    async def _next(self) -> Message:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.silence_s - self._waited_s):
                return await self._receive()
        except TimeoutError:
            raise problems.slow_body(
                f"Less than {self._limits.progress_bytes} bytes of the body arrived in {self._limits.silence_s:g} s. "
                "Nothing of the part in transfer was kept: send it again."
            ) from None
        finally:
            self._waited_s += time.monotonic() - asked

    def _account(self, chunk: bytes) -> None:
        self.read_bytes += len(chunk)
        self._window_bytes += len(chunk)
        if self._window_bytes >= self._limits.progress_bytes:
            self._window_bytes = 0
            self._waited_s = 0.0


class JsonBodies:
    """Reads JSON bodies into models, with a bound on the bytes that all requests together have in hand."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._in_hand = 0

    async def read(self, request: Request, model: type[Model], *, at_most: int, crowded: str = CROWDED) -> Model:
        """Raises 413, 415, 400 (no JSON) or 422 (not of the schema) problems, and 503 when too much is in hand.

        `crowded` is what is said of a body with too many members.
        """
        _require_json(request)
        body = Body(request, self._limits)
        expected = min(body.declared_bytes or at_most, at_most)
        with self._holding(expected):
            return self._parse(await body.read(at_most=at_most), model, crowded)

    @contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        if self._in_hand + size > self._limits.json_in_hand_bytes:
            raise problems.unavailable("Too many large JSON bodies are being read at once.", retry_after_s=1)
        self._in_hand += size
        try:
            yield
        finally:
            self._in_hand -= size

    def _parse(self, data: bytes, model: type[Model], crowded: str) -> Model:
        self._judge_structure(data, crowded)
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            raise problems.of_validation(error) from None

    def _judge_structure(self, data: bytes, crowded: str) -> None:
        """Refuse deep or crowded JSON before a parser builds it: what is left without its strings is the structure.

        Strings beyond a number that no request has are left in, and make it too long.
        """
        structure = _STRINGS.sub(b'""', data, count=self._limits.json_strings)
        if len(structure) > self._limits.json_structure_bytes:
            raise problems.invalid(crowded)
        if _depth(structure) > self._limits.json_depth:
            raise problems.invalid(f"The JSON body is nested deeper than {self._limits.json_depth} levels.")
        if b"\\u0000" in data and _ESCAPED_NUL.search(data):
            raise problems.invalid("A string in the body holds a NUL character; remove it.")


def _depth(structure: bytes) -> int:
    depth = deepest = 0
    for byte in structure:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise problems.unsupported_media_type("Send the body as application/json.")


def _declared_bytes(request: Request) -> int | None:
    value = request.headers.get("content-length", "")
    return int(value) if value.isdecimal() and len(value) < 20 else None


def _body_too_large(at_most: int) -> problems.Problem:
    return problems.too_large(f"The body is larger than the {at_most} bytes that this request may have.")
