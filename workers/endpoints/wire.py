"""Requests to endpoints over HTTP, and what goes wrong with them as faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar, cast

import httpx
from pydantic import JsonValue, SecretStr

from workers.endpoints.classification import Refusal, classify, not_json, not_whole
from workers.endpoints.faults import EndpointFaultError, Fault, FaultKind
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.streaming import StreamPlan, StreamReader

MAX_CONNECTIONS = 512
MAX_IDLE_CONNECTIONS = 64
KEEP_ALIVE_S = 4.0
"""Shorter than the 5 s after which uvicorn (vLLM) closes an idle connection: none is used while it is being closed."""
MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024

T = TypeVar("T")
_JSON_BEGINS = frozenset({b"{", b"["})
_LOST = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


class Wire:
    """One HTTP client with connections that are kept. Everything raises `EndpointFaultError`.

    Redirects are not followed: the key stays with the addresses that the settings name.
    """

    def __init__(self, purpose: Purpose, *, connect: TimeLimit, api_key: SecretStr | None = None) -> None:
        self._purpose = purpose
        self._connect = connect
        self._key = api_key.get_secret_value() if api_key else ""
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(None, connect=connect.seconds),
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_IDLE_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, url: str, body: Mapping[str, JsonValue] | None, limit: TimeLimit) -> JsonValue:
        """The JSON that GET, or POST with a body, is answered with."""
        with self._faults():
            async with _limited(limit), self._response(url, body) as response:
                await self._require_success(response)
                return self._parsed(response, await _content(response, MAX_REPLY_BYTES))

    async def events(self, url: str, body: Mapping[str, JsonValue], plan: StreamPlan[T]) -> AsyncGenerator[T, None]:
        """The items of a streamed reply. Closing it closes the connection, on which servers stop their work."""
        reader = StreamReader(plan, self._purpose)
        with self._faults():
            response = await reader.waiting(lambda: self._send(url, body))
            try:
                await reader.waiting(lambda: self._require_stream(response))
                async with (
                    aclosing(_chunks(response)) as chunks,
                    aclosing(reader.items(chunks)) as items,
                ):
                    async for item in items:
                        yield item
            finally:
                await response.aclose()

    async def _send(self, url: str, body: Mapping[str, JsonValue] | None) -> httpx.Response:
        method = "GET" if body is None else "POST"
        return await self._client.send(self._client.build_request(method, url, json=body), stream=True)

    @asynccontextmanager
    async def _response(self, url: str, body: Mapping[str, JsonValue] | None) -> AsyncIterator[httpx.Response]:
        response = await self._send(url, body)
        try:
            yield response
        finally:
            await response.aclose()

    async def _require_success(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.OK:
            return
        refusal = Refusal(
            status=response.status_code,
            body=await _content(response, MAX_ERROR_BYTES),
            retry_after=response.headers.get("Retry-After"),
            location=response.headers.get("Location"),
        )
        raise EndpointFaultError(self._without_key(classify(refusal, self._purpose)))

    async def _require_stream(self, response: httpx.Response) -> None:
        await self._require_success(response)
        kind = _media_type(response)
        if kind != "text/event-stream":
            raise EndpointFaultError(not_json(f"{kind} instead of a stream of events", self._purpose))

    def _parsed(self, response: httpx.Response, content: bytes) -> JsonValue:
        if len(content) > MAX_REPLY_BYTES:
            raise EndpointFaultError(not_json("more than any reply holds", self._purpose))
        try:
            parsed: JsonValue = json.loads(content)
        except (ValueError, RecursionError) as error:
            kind = _media_type(response)
            page = kind.startswith("text/") or content.lstrip()[:1] not in _JSON_BEGINS
            raise EndpointFaultError(
                not_json(f"something that is not JSON ({kind})", self._purpose) if page else not_whole()
            ) from error
        return parsed

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What the client raises, as faults."""
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EndpointFaultError(self._without_key(self._of(error))) from error

    def _of(self, error: Exception) -> Fault:
        words = str(error) or type(error).__name__
        if isinstance(error, httpx.ConnectTimeout):
            return _failure("connect_timeout", f"was not to be connected to within {self._connect}")
        if isinstance(error, httpx.ConnectError):
            setting = self._purpose.setting("ENDPOINTS")
            return _failure("connection", f"cannot be reached ({words}): start it, or check {setting}")
        if isinstance(error, _LOST):
            return _failure("connection_lost", f"closed the connection ({words})", again=True)
        return _failure("protocol", f"cannot be talked to ({type(error).__name__}: {words})")

    def _without_key(self, fault: Fault) -> Fault:
        """Servers may repeat what they were sent."""
        if not self._key or self._key not in fault.reason:
            return fault
        return replace(fault, reason=fault.reason.replace(self._key, "…"))


@asynccontextmanager
async def _limited(limit: TimeLimit) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit.seconds) as watch:
            yield
    except TimeoutError as error:
        if not watch.expired():
            raise
        raise EndpointFaultError(_failure("timeout", f"did not reply within {limit}")) from error


async def _content(response: httpx.Response, most: int) -> bytes:
    """The body, cut off somewhere beyond `most` bytes."""
    content = bytearray()
    async with aclosing(_chunks(response)) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > most:
                break
    return bytes(content)


def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it comes; httpx's types hide that it can be closed."""
    return cast("AsyncGenerator[bytes, None]", response.aiter_bytes())


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Type", "no media type")).partition(";")[0].strip().lower()


def _failure(label: str, reason: str, *, again: bool = False) -> Fault:
    return Fault(kind=FaultKind.FAILURE, label=label, reason=reason, again=again)
