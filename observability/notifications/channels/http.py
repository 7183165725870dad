"""Posting to servers of other people: to judged addresses only, no redirects, bounded replies, errors that say what to do."""

from __future__ import annotations

import asyncio
import email.utils
import math
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import httpx

from observability.notifications.channels.addresses import AddressGuard
from observability.notifications.errors import DeliveryError
from observability.notifications.rendering.words import line
from observability.outgoing import PinnedTransport, authorities

MAX_REPLY_BYTES = 4096
MAX_SAID = 200
USER_AGENT = "waggle-notifications"
_MASK = "***"
_BUSY = frozenset({408, 425, 429})


class HttpPoster:
    """Posts to one server, on a connection of its own each time: where the name leads is looked up and judged anew."""

    def __init__(self, guard: AddressGuard, *, connect_timeout_s: float) -> None:
        self._guard = guard
        self._timeout = httpx.Timeout(None, connect=connect_timeout_s)  # all else is limited by who asks
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, secrets: Iterable[str] = ()) -> str:
        """Returns what the server said: its status and the beginning of its reply, without `secrets`.

        Raises `DeliveryError`: final for a refusal (4xx) and a redirect, in doubt when it may have been taken all the same.
        """
        address = _parsed(url)
        transport = PinnedTransport(self._guard, await self._trust(address.scheme))
        async with httpx.AsyncClient(transport=transport, timeout=self._timeout, trust_env=False) as client:
            request = client.build_request(
                "POST",
                address,
                content=body,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
            )
            try:
                response = await client.send(request, stream=True)
                said = _said(response, await _beginning(response), secrets)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise DeliveryError(
                    f"{address.host} cannot be reached: {str(error) or 'it does not answer'}"
                ) from error
            except httpx.LocalProtocolError as error:  # it quotes what it does not like, which may be a secret
                raise DeliveryError("a header cannot be sent: is each secret one line of ASCII?", final=True) from error
            except httpx.HTTPError as error:
                raise DeliveryError(f"{address.host} broke off: {type(error).__name__}", in_doubt=True) from error
        _require_success(response, said)
        return said

    async def close(self) -> None:
        await self._guard.close()

    async def _trust(self, scheme: str) -> ssl.SSLContext:
        """Whose certificates are believed; reading them takes a while, so it is done once, and not on the loop."""
        if scheme == "http":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used
        if self._tls is None:
            self._tls = await asyncio.to_thread(authorities)
        return self._tls


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise DeliveryError("the address cannot be used as one", final=True) from error


async def _beginning(response: httpx.Response) -> bytes:
    """So much of the reply as is worth reading; the rest is not waited for."""
    read = bytearray()
    try:
        async for chunk in response.aiter_raw():
            read += chunk
            if len(read) >= MAX_REPLY_BYTES:
                break
    except httpx.HTTPError:
        if response.is_success:  # it was taken: what the server wanted to add does not matter
            return bytes(read)
        raise
    finally:
        await response.aclose()
    return bytes(read[:MAX_REPLY_BYTES])


def _said(response: httpx.Response, body: bytes, secrets: Iterable[str]) -> str:
    text = body.decode(errors="replace")
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return line(f"HTTP {response.status_code} {text}", MAX_SAID)


def _require_success(response: httpx.Response, said: str) -> None:
    status = response.status_code
    if response.is_success:
        return
    if response.is_redirect or 300 <= status < 400:
        raise DeliveryError(f"{said}: redirects are not followed; give the address that it leads to", final=True)
    if status in _BUSY or status >= 500:
        # A server may have taken the message and failed at what came then.
        raise DeliveryError(said, in_doubt=status >= 500, retry_after_s=_retry_after(response.headers))
    raise DeliveryError(said, final=True)


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds from Retry-After, which is a number or a date (RFC 9110, 10.2.3); None where it is neither."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
