"""Fetches one document: each host judged, each redirect looked at, everything bounded in time and size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
import structlog

from contracts.sources import UrlSource
from gateway.fetching import responses
from gateway.fetching.decoding import decoded
from gateway.fetching.errors import (
    FetchError,
    SourceFailedError,
    SourceRefusedError,
    SourceTooSlowError,
    TooManyFetchesError,
    UrlRefusedError,
)
from gateway.fetching.names import name_of
from gateway.fetching.permission import Permission
from gateway.fetching.urls import redirected
from messaging.uploads import UploadTooLargeError
from observability.outgoing import (
    HostError,
    HostNotFoundError,
    PinnedTransport,
    PublicAddresses,
    authorities,
)

MAX_REDIRECTS: Final = 5
CONNECT_S: Final = 5.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A document on its way. `content` can be read once, while the fetching is open; None when it has not changed."""

    name: str
    source: UrlSource
    content: AsyncIterator[bytes] | None


class Fetcher:
    """Fetches documents from where `permission` and `addresses` allow it.

    Cookies, credentials and proxies are not used, no connection is used twice, and nothing is asked to be compressed.
    """

    def __init__(
        self,
        permission: Permission,
        addresses: PublicAddresses,
        *,
        timeout_s: float,
        at_once: int,
        trust: Callable[[], ssl.SSLContext] = authorities,
    ) -> None:
        self._permission = permission
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._free = at_once
        self._trust = trust
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def fetch(self, url: httpx.URL, *, max_bytes: int, known: UrlSource | None = None) -> AsyncIterator[Fetched]:
        """Open the document of a URL; asked whether it has changed, where a version of it is `known`.

        Raises `FetchError`, as reading its content does, and `UploadTooLargeError` for one that says to have more than
        `max_bytes`. Who reads it has to count: not all say how many they have, or say it truly.
        """
        self._permission.require(url)
        clock = _Clock(self._timeout_s)
        with self._slot():
            async with await self._client() as client:
                answered_by, response = await self._answer(client, url, known, clock)
                try:
                    _require_size(response, max_bytes)
                    yield _fetched(url, answered_by, response, known, clock)
                finally:
                    await response.aclose()

    async def close(self) -> None:
        await self._addresses.close()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._free:
            raise TooManyFetchesError
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def _client(self) -> httpx.AsyncClient:
        if self._tls is None:
            self._tls = await asyncio.to_thread(self._trust)
        return httpx.AsyncClient(
            transport=PinnedTransport(self._addresses, self._tls),
            timeout=httpx.Timeout(None, connect=CONNECT_S),  # all else is limited by the time for the whole
            follow_redirects=False,
            trust_env=False,
        )

    async def _answer(
        self, client: httpx.AsyncClient, url: httpx.URL, known: UrlSource | None, clock: _Clock
    ) -> tuple[httpx.URL, httpx.Response]:
        """The response that is no redirect, and the URL that it came from."""
        for _ in range(MAX_REDIRECTS + 1):
            self._permission.require(url)
            client.cookies.clear()
            request = client.build_request("GET", url, headers=responses.headers(url, known))
            response = await _asked(client, request, url.host, clock)
            if response.status_code not in _REDIRECTS:
                return url, response
            await response.aclose()
            url = redirected(url, response.headers.get("location", ""))
        raise SourceRefusedError(f"It redirects more than {MAX_REDIRECTS} times.")


class _Clock:
    """The time for the whole of a fetch, redirects and body together."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until = asyncio.get_running_loop().time() + timeout_s

    async def wait(self, awaited: Awaitable[_Result]) -> _Result:
        """Raises `SourceTooSlowError` when the time is over."""
        try:
            async with asyncio.timeout_at(self._until):
                return await awaited
        except TimeoutError:
            raise SourceTooSlowError(self._timeout_s) from None


def _fetched(
    url: httpx.URL, answered_by: httpx.URL, response: httpx.Response, known: UrlSource | None, clock: _Clock
) -> Fetched:
    name = name_of(url, response.headers.get("content-disposition", ""))
    is_unchanged = response.status_code == HTTPStatus.NOT_MODIFIED and responses.was_conditional(response)
    if known is not None and is_unchanged:
        return Fetched(name=name, source=known, content=None)
    responses.require_given(response, answered_by.host)
    body = _within(_pieces(response, answered_by.host), clock)
    return Fetched(
        name=name,
        source=responses.source(url, answered_by, response),
        content=decoded(body, response.headers.get("content-encoding", "")),
    )


async def _asked(client: httpx.AsyncClient, request: httpx.Request, host: str, clock: _Clock) -> httpx.Response:
    try:
        return await clock.wait(client.send(request, stream=True))
    except HostError as error:
        raise _no_host(error, host) from error
    except httpx.LocalProtocolError as error:
        raise UrlRefusedError("This URL cannot be asked for.") from error
    except UnicodeError as error:  # of a Location whose host is no Punycode, which the client reads by itself
        raise UrlRefusedError("It redirects to what is no URL.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceFailedError(
            f"{host} cannot be reached, or does not speak HTTP ({type(error).__name__})."
        ) from error


def _no_host(error: HostError, host: str) -> FetchError:
    """What is not public and what there is not are told alike: names of the inside are nobody's business outside."""
    log.warning("a document was not fetched", reason=str(error))
    if isinstance(error, HostNotFoundError) and error.passing:
        return SourceFailedError(f"No name server says where {host} is. Try again.")
    return UrlRefusedError(
        f"{host} is not found, or is not at a public address. Whoever runs Waggle can allow its network in "
        "WAGGLE_URL_ALLOWED_NETWORKS."
    )


def _require_size(response: httpx.Response, max_bytes: int) -> None:
    declared = response.headers.get("content-length", "")
    if response.is_success and declared.isdecimal() and (len(declared) > 18 or int(declared) > max_bytes):
        raise UploadTooLargeError(max_bytes)


async def _pieces(response: httpx.Response, host: str) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except httpx.HTTPError as error:
        raise SourceFailedError(f"{host} broke off in the middle of the document. Try again.") from error


async def _within(pieces: AsyncIterator[bytes], clock: _Clock) -> AsyncIterator[bytes]:
    while (piece := await clock.wait(anext(pieces, None))) is not None:
        yield piece
