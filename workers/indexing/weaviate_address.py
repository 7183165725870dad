"""What answers where Weaviate is said to be."""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

from contracts.errors import PermanentError, WaggleError
from contracts.weaviate_settings import WeaviateSettings
from workers.indexing.weaviate_errors import UnreachableError, denied, unreachable

LEAST_VERSION = (1, 27)
"""The oldest server that the client library talks to."""
CONNECT_S = 5.0
ANSWER_S = 2 * CONNECT_S
"""For the whole of a small answer, however slowly it drips."""

_VERSION = re.compile(r"(\d+)\.(\d+)")


class Address:
    """Where Weaviate is, and whether it is there. Errors name the setting to look at."""

    def __init__(self, settings: WeaviateSettings) -> None:
        parts = urlsplit(settings.weaviate_url)
        self.url = settings.weaviate_url
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self.grpc_host = settings.weaviate_grpc_host or self.host
        self.grpc_port = settings.weaviate_grpc_port
        self.version = LEAST_VERSION
        """That of the server, once `check` has passed."""
        self._key = settings.weaviate_api_key
        if (self.host, self.port) == (self.grpc_host, self.grpc_port):
            raise PermanentError(
                f"WAGGLE_WEAVIATE_GRPC_PORT is the port of WAGGLE_WEAVIATE_URL ({self.url}): gRPC has a port of its own, "
                "usually 50051"
            )

    async def check(self) -> None:
        """Raise unless a Weaviate answers that is new enough and knows the key."""
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._get("/v1/meta")
        except httpx.TransportError as error:
            raise self._not_reached(error) from error
        except TimeoutError as error:
            raise unreachable(f"no whole answer within {ANSWER_S:g} s", url=self.url) from error
        if answer.status_code in {401, 403}:
            raise denied(f"the key is not accepted (status {answer.status_code})", url=self.url)
        if answer.status_code >= 500 or answer.status_code == 429:
            raise unreachable(f"status {answer.status_code}", url=self.url)
        self._check_version(_version(answer))
        await self._check_grpc()

    async def look(self) -> None:
        """Raise `UnreachableError` when nobody accepts connections here. Says nothing about how well it goes."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._get("/v1/.well-known/live")
        except (httpx.ReadTimeout, TimeoutError):  # there, but busy
            return
        except httpx.TransportError as error:
            raise unreachable(_said(error), url=self.url) from error
        await self._check_grpc()

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(
            verify=self._tls, timeout=CONNECT_S, trust_env=self.secure, headers=self._headers()
        ) as http:
            return await http.get(self.url + path)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made once: to read all authorities takes some 50 ms, and slow calls are many when a server is overloaded."""
        return httpx.create_ssl_context() if self.secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def _not_reached(self, error: httpx.TransportError) -> WaggleError:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return PermanentError(
                f"the certificate of Weaviate at {self.url} is not trusted ({error}): name the file of its authority in "
                "SSL_CERT_FILE, or check the host in WAGGLE_WEAVIATE_URL"
            )
        return unreachable(_said(error), url=self.url)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key.get_secret_value()}"} if self._key else {}

    def _check_version(self, version: str | None) -> None:
        numbers = _VERSION.match(version or "")
        if numbers is None:
            raise PermanentError(
                f"what answers at {self.url} is not Weaviate: set WAGGLE_WEAVIATE_URL to Weaviate's own address"
            )
        self.version = (int(numbers[1]), int(numbers[2]))
        if self.version < LEAST_VERSION:
            least = ".".join(str(number) for number in LEAST_VERSION)
            raise PermanentError(
                f"Weaviate at {self.url} is version {version}, which is too old: WAGGLE_WEAVIATE_URL has to name a server "
                f"of version {least} or newer"
            )

    async def _check_grpc(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection(self.grpc_host, self.grpc_port)
        except (OSError, TimeoutError) as error:
            raise UnreachableError(
                f"nobody answers on gRPC port {self.grpc_port} of {self.grpc_host} ({_said(error)}), while Weaviate at "
                f"{self.url} does: is WAGGLE_WEAVIATE_GRPC_PORT right?"
            ) from error
        writer.transport.abort()  # nothing was sent, so nothing has to be seen off


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _version(answer: httpx.Response) -> str | None:
    """The version that Weaviate tells; None when this is not what Weaviate tells."""
    try:
        body: Any = answer.json()
    except ValueError:
        return None
    version = body.get("version") if isinstance(body, dict) else None
    return version if isinstance(version, str) else None
