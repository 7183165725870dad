"""Endpoints that serve a model, as settings name them, and how requests are spread over them.

http://a:8000/v1, http://b:8000/v1;weight=3, https://c.example/v1;standby
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

MAX_WEIGHT = 1000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/rerank", "/models")


class Balance(StrEnum):
    """Which endpoint gets the next request."""

    ROUND_ROBIN = "round_robin"
    """In turn."""
    LEAST_CONNECTIONS = "least_connections"
    """The one with the fewest requests under way for its weight."""
    WEIGHTED = "weighted"
    """In turn, each as often as its weight says."""


@dataclass(frozen=True, kw_only=True)
class EndpointAddress:
    """Where an OpenAI-compatible API begins, without a slash at the end, and which share of the requests it gets.

    A `standby` is used only while no other endpoint can be.
    """

    url: str
    weight: int = 1
    standby: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or _DEFAULT_PORTS[parts.scheme]

    @property
    def root(self) -> str:
        """What lies beside the API and not in it, such as `/tokenize`, begins here."""
        return self.url.removesuffix("/v1")

    def with_version(self) -> EndpointAddress:
        """An address of a host alone with `/v1`, as OpenAI-compatible servers have it; any other as it is."""
        return self if urlsplit(self.url).path else replace(self, url=f"{self.url}/v1")


def parse_endpoints(text: str, *, key_setting: str, route: str = "") -> tuple[EndpointAddress, ...]:
    """The endpoints that a setting names, comma separated. Raises `ValueError` that says what is wrong with which.

    `key_setting` is where a key belongs: an address with one in it is refused, and not quoted. An address may end in
    `route`, the only one that is asked there.
    """
    addresses = tuple(_parse(part.strip(), key_setting, route) for part in text.split(",") if part.strip())
    if not addresses:
        raise ValueError("names no endpoint")
    twice = [url for url, count in Counter(address.url for address in addresses).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is named twice; give it once, with ;weight=2 for twice its share")
    if all(address.standby for address in addresses):
        raise ValueError("every endpoint is a standby; at least one has to be without ;standby")
    return addresses


def _parse(part: str, key_setting: str, route: str) -> EndpointAddress:
    url, *options = (piece.strip() for piece in part.split(";"))
    beginning = url.rstrip("/").removesuffix(route)
    address = EndpointAddress(url=_checked(beginning, key_setting).rstrip("/"))
    for option in options:
        address = _with_option(address, option)
    return address


def _checked(url: str, key_setting: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"an address has no user name, password, ? or #: a key belongs in {key_setting}")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or any(c.isspace() for c in url):
        raise ValueError(f"{url!r} is not an address that begins with http:// or https://")
    _require_port(parts, url)
    route = next((route for route in _ROUTES if parts.path.rstrip("/").endswith(route)), None)
    if route:
        raise ValueError(f"{url} names a route; give what comes before {route}")
    return url


def _require_port(parts: SplitResult, url: str) -> None:
    try:
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{url} has a port that is not one of 1 to 65535")


def _with_option(address: EndpointAddress, option: str) -> EndpointAddress:
    name, _, value = option.partition("=")
    if option == "standby":
        return replace(address, standby=True)
    if name.strip() != "weight":
        raise ValueError(f"{option!r} of {address.url} is neither weight=N nor standby")
    if not value.strip().isdecimal() or not 1 <= int(value) <= MAX_WEIGHT:
        raise ValueError(f"{option!r} of {address.url} is not a weight from 1 to {MAX_WEIGHT}")
    return replace(address, weight=int(value))
