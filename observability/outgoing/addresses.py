"""Which addresses may be connected to when somebody else names the host.

A name is resolved once, every address it has is judged, and the connection is made to a judged address: a name server that says something
else the next time (DNS rebinding) is not asked a next time.

HostError
├── HostNotFoundError  the host has no address, as far as name servers say
└── HostRefusedError   one of its addresses is none to connect to
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from contracts.errors import WaggleError
from contracts.networks import Network

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

RESOLVER_THREADS = 2

_REFUSED: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",
            "168.63.129.16/32",  # Azure's metadata, on an address that looks public
            "192.0.0.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "240.0.0.0/4",
            "64:ff9b:1::/48",  # NAT64 of a network of its own: where the IPv4 address stands in it is known there only
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "5f00::/16",
            "fec0::/10",
        ),
    )
)
"""What `ipaddress` does not call private, or not in every release of Python."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_32 = 0xFFFF_FFFF


class HostError(WaggleError):
    """A host cannot be connected to; nothing was sent."""


class HostNotFoundError(HostError):
    """No address is known of it. `passing`: the name servers did not answer, so that it may be known later."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class HostRefusedError(HostError):
    """One of its addresses is not public, and in no network that is allowed."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} is at {address}, which is not a public address")


class PublicAddresses:
    """Lets through addresses of the public internet and those in `allowed`; no private, loopback, link-local, multicast or
    metadata ones, also not inside an IPv6 address that stands for an IPv4 one.
    """

    def __init__(
        self,
        allowed: Iterable[Network] = (),
        *,
        timeout_s: float = 5.0,
        threads: int = RESOLVER_THREADS,
        resolve: Resolve | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")
        self._resolve = resolve or self._look_up

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of them let through. Raises `HostRefusedError` and `HostNotFoundError`."""
        found = await self.resolved(host, port)
        refused = next((address for address in found if not self.lets_through(address)), None)
        if refused is not None:
            raise HostRefusedError(host, refused)
        return found

    async def resolved(self, host: str, port: int) -> list[str]:
        """The addresses of a host, whatever they are. Raises `HostNotFoundError`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise HostNotFoundError(f"{host} is not found: no name server answers", passing=True) from error
        except socket.gaierror as error:
            raise HostNotFoundError(f"{host} is not found: {error}", passing=error.errno == socket.EAI_AGAIN) from error
        except (OSError, UnicodeError) as error:
            raise HostNotFoundError(f"{host} is not found: {error}", passing=False) from error
        if not found:
            raise HostNotFoundError(f"{host} has no address", passing=False)
        return found

    def lets_through(self, text: str) -> bool:
        written = ip_address(text.partition("%")[0])
        address = _unwrapped(written)
        if any(each in network for network in self._allowed for each in (written, address)):
            return True
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and not any(address in network for network in _REFUSED)
        )

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, host: str, port: int) -> list[str]:
        """In threads of its own, so that a name server that hangs delays nobody else."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & _LOW_32)
    return address
