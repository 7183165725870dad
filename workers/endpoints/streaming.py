"""Reads the reply of a model that comes token by token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from workers.endpoints.classification import Refusal, classify, not_json
from workers.endpoints.faults import EndpointFaultError, Fault, FaultKind
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.sse import EventDecoder, EventTooLargeError

T = TypeVar("T")
R = TypeVar("R")
DONE = "[DONE]"
READ_OUT_S = 0.2
"""How long to wait for the end of a body after the end of its reply."""
_INTERNAL_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class StreamPlan(Generic[T]):
    """How a streamed reply is read.

    `read` makes an item of an event's data and raises `ValueError` for what it cannot read. `begins` tells the first
    token: what comes before is held back, so that another endpoint can still be asked. `ends` tells that nothing of
    the reply is missing any more. `first` limits the time until the first token, `gap` that between two items.
    """

    read: Callable[[str], T]
    begins: Callable[[T], bool]
    ends: Callable[[T], bool]
    first: TimeLimit
    gap: TimeLimit


class StreamReader(Generic[T]):
    """The items of one reply. Raises `EndpointFaultError` for one that is not whole."""

    def __init__(self, plan: StreamPlan[T], purpose: Purpose) -> None:
        self._plan = plan
        self._purpose = purpose
        self._begun = False
        self._ended = False
        self._deadline = asyncio.get_running_loop().time() + plan.first.seconds

    async def waiting(self, step: Callable[[], Awaitable[R]]) -> R:
        """Await `step()`, no longer than until the next token is due."""
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                return await step()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise EndpointFaultError(self._too_slow()) from error

    async def items(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[T, None]:
        """The items from the first token on, together with those before it."""
        held: list[T] = []
        async for data in self._data(chunks):
            item = self._item(data)
            held.append(item)
            self._ended = self._ended or self._plan.ends(item)
            self._begun = self._begun or self._ended or self._plan.begins(item)
            while self._begun and held:
                yield held.pop(0)
                self._deadline = asyncio.get_running_loop().time() + self._plan.gap.seconds
        for item in held:
            yield item

    async def _data(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
        """The data of the events until the reply is whole. After its end nothing that goes wrong matters."""
        decoder = EventDecoder()
        try:
            while (chunk := await self.waiting(lambda: anext(chunks, b""))) != b"":
                for data in decoder.feed(chunk):
                    if data == DONE:
                        await _read_out(chunks)
                        return
                    yield data
        except (EndpointFaultError, httpx.HTTPError):
            if not self._ended:
                raise
        except (EventTooLargeError, UnicodeDecodeError) as error:
            raise EndpointFaultError(not_json("something that is no event stream", self._purpose)) from error
        if not self._ended:
            raise EndpointFaultError(
                Fault(kind=FaultKind.FAILURE, label="cut_off", reason="ended the stream before the reply", again=True)
            )

    def _item(self, data: str) -> T:
        self._require_no_error(data)
        try:
            return self._plan.read(data)
        except ValueError as error:
            raise EndpointFaultError(not_json("an event that cannot be read", self._purpose)) from error

    def _require_no_error(self, data: str) -> None:
        """Servers that have already answered 200 tell of an error in an event."""
        if '"error"' not in data:
            return
        try:
            told = json.loads(data)
        except ValueError:
            return  # what cannot be read is judged by the plan
        error = told.get("error") if isinstance(told, dict) else None
        if error:
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and code >= 400 else _INTERNAL_ERROR
            raise EndpointFaultError(classify(Refusal(status=status, body=data.encode()), self._purpose))

    def _too_slow(self) -> Fault:
        if self._begun:
            return Fault(kind=FaultKind.FAILURE, label="gap_timeout", reason=f"was silent for {self._plan.gap}")
        reason = f"gave no first token within {self._plan.first}"
        return Fault(kind=FaultKind.FAILURE, label="first_token_timeout", reason=reason)


async def _read_out(chunks: AsyncIterator[bytes]) -> None:
    """A connection is kept for the next request only if the body was read to its end."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(READ_OUT_S):
            async for _ in chunks:
                pass
