"""Connections to judged addresses; to the server, and to its certificate, the name stays the same."""

from __future__ import annotations

import ssl

import httpx

from observability.outgoing.addresses import PublicAddresses

_PORTS = {"http": 80, "https": 443}
# What is open to one name must not be used for another at the same address: that one's certificate was never looked at.
_NOTHING_KEPT = httpx.Limits(max_keepalive_connections=0)


def authorities() -> ssl.SSLContext:
    """Whose certificates are believed: those of the system and those that the library brings. Reading them takes a while."""
    context = httpx.create_ssl_context()
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


class PinnedTransport(httpx.AsyncBaseTransport):
    """Connects each request to an address that was let through for its host, by no proxy. Raises `HostError` beside httpx's own."""

    def __init__(self, addresses: PublicAddresses, tls: ssl.SSLContext) -> None:
        self._addresses = addresses
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=_NOTHING_KEPT)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        host = url.raw_host.decode("ascii")
        addresses = await self._addresses.addresses(host, url.port or _PORTS[url.scheme])
        request.extensions = {**request.extensions, "sni_hostname": host}
        for left, address in reversed(list(enumerate(reversed(addresses)))):
            request.url = url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if not left:
                    raise
        raise AssertionError("a host has at least one address")

    async def aclose(self) -> None:
        await self._inner.aclose()
