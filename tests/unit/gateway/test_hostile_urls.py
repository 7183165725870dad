"""URLs that lead inside: not one connection is made to an address that is not public and not allowed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from contracts.networks import parse_networks
from contracts.url_settings import UrlIngestion, parse_hosts
from gateway import fetching
from gateway.fetching import Fetcher, FetchError, Permission, UrlRefusedError
from gateway.fetching.urls import redirected
from observability.outgoing import PublicAddresses
from tests.support.sources import SourceServer

NAMES = {
    "inside.example": ["10.0.0.8"],
    "mixed.example": ["203.0.114.1", "127.0.0.1"],
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "metadata.example": ["169.254.169.254"],
    "metadata6.example": ["fd00:ec2::254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "six.example": ["2002:7f00:1::"],
    "teredo.example": ["2001:0:7f00:1::"],
    "shared.example": ["100.64.0.1"],
    "nothing.example": ["0.0.0.0"],
    "multicast.example": ["224.0.0.1"],
    "xn--bcher-kva.example": ["192.168.0.1"],
}
HOSTILE_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25lo]", "169.254.169.254", "0xa9fea9fe", "2852039166",
    "10.0.0.8", "100.64.0.1", "100.100.100.200", "168.63.129.16", "localhost", "LOCALHOST", "localhost.", "127.0.0.1.",
    "xn--", "xn--.example", "１２７.０.０.１", "127。0。0。1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "bücher.example", *NAMES,
]  # fmt: skip


class Anywhere(Permission):
    """Has nothing against any host or port: what is left are the addresses."""

    def __init__(self) -> None:
        super().__init__(UrlIngestion.PUBLIC)

    def require(self, url: httpx.URL) -> None:
        pass


async def resolve(host: str, port: int) -> list[str]:
    """The names above, and what this host makes of everything else."""
    if host in NAMES:
        return NAMES[host]
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@pytest.fixture
async def listener() -> AsyncIterator[SourceServer]:
    async with SourceServer.running() as listener:
        listener.put("/")
        yield listener


@asynccontextmanager
async def fetcher(permission: Permission, **options: Any) -> AsyncIterator[Fetcher]:
    addresses = PublicAddresses(**{"resolve": resolve} | options)
    fetcher = Fetcher(permission, addresses, timeout_s=60, at_once=1, trust=ssl.create_default_context)
    yield fetcher
    await fetcher.close()


async def fetched(fetcher: Fetcher, url: str) -> None:
    async with fetcher.fetch(fetching.parsed(url), max_bytes=1 << 20) as found:
        assert found.content is not None
        async for _ in found.content:
            pass


async def refusal(fetcher: Fetcher, url: str) -> FetchError:
    with pytest.raises(FetchError) as raised:
        await fetched(fetcher, url)
    return raised.value


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", HOSTILE_HOSTS)
async def test_a_host_inside_is_not_connected_to(
    listener: SourceServer, monkeypatch: pytest.MonkeyPatch, host: str, scheme: str
) -> None:
    monkeypatch.setattr("httpx.AsyncHTTPTransport.handle_async_request", _connects)
    async with fetcher(Anywhere()) as one:
        error = await refusal(one, f"{scheme}://{host}:{listener.port}/")
    assert isinstance(error, UrlRefusedError)
    assert "is at" not in str(error), "the address is not told"
    assert listener.connections == 0


async def _connects(self: object, request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"it connects to {request.url.host}")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost.", "loopback.example"])
async def test_without_the_judgement_these_hosts_are_reached(listener: SourceServer, host: str) -> None:
    """What the test above could not tell otherwise: that the listener would have heard of it."""
    async with fetcher(Anywhere(), allowed=parse_networks("127.0.0.0/8,::1/128")) as one:
        await fetched(one, f"http://{host}:{listener.port}/")
    assert listener.connections == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "file://127.0.0.1/etc/passwd", "gopher://127.0.0.1:4222/_PUB", "ftp://127.0.0.1/a", "data:text/plain,a",
        "dict://127.0.0.1:11211/stats", "ldap://127.0.0.1/", "jar:http://127.0.0.1!/a", "javascript:alert(1)", "nats://127.0.0.1:4222",
        "http://user@127.0.0.1/", "http://user:secret@docs.example/", "http://docs.example:80@127.0.0.1/",
        "http://docs.example\\@127.0.0.1/", "http://", "http:", "//127.0.0.1/", "127.0.0.1", "", " ", "http://./", "http://...",
        "http://docs.example:99999/", "http://docs.example:-1/", "http://docs.example:0/", "http://[::1/", "http://a b/", "http://a\r\nHost: b/", "http://a/\x00",
        "http://docs.example/" + "a" * 3000, "ht\ntp://127.0.0.1/", "http://%31%32%37.0.0.1/\x7f",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_document_is_refused_before_anything_is_looked_up(url: str) -> None:
    with pytest.raises(UrlRefusedError):
        fetching.parsed(url)


async def test_a_name_that_leads_inside_the_second_time_is_not_asked_a_second_time(
    listener: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, connected = [["203.0.114.1"], ["127.0.0.1"], ["127.0.0.1"]], []

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async def nowhere(self: object, request: httpx.Request) -> httpx.Response:
        connected.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
        raise httpx.ConnectError("nobody is there")

    monkeypatch.setattr("httpx.AsyncHTTPTransport.handle_async_request", nowhere)
    async with fetcher(Anywhere(), resolve=rebinding) as one:
        await refusal(one, f"http://rebinding.example:{listener.port}/")
        assert connected == [("203.0.114.1", f"rebinding.example:{listener.port}", "rebinding.example")]
        await refusal(one, f"http://rebinding.example:{listener.port}/")
    assert len(connected) == 1, "the second fetch is judged by what the name is then"
    assert listener.connections == 0


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
async def test_a_redirect_is_judged_as_the_first_url_is(
    listener: SourceServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    async def redirecting(self: object, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "203.0.114.1", f"it connects to {request.url.host}"
        return httpx.Response(302, headers={b"Location": f"http://{host}:{listener.port}/".encode()}, request=request)

    monkeypatch.setattr("httpx.AsyncHTTPTransport.handle_async_request", redirecting)
    monkeypatch.setitem(NAMES, "outside.example", ["203.0.114.1"])
    async with fetcher(Anywhere()) as one:
        assert isinstance(await refusal(one, "http://outside.example/"), FetchError)
    assert listener.connections == 0


async def test_a_redirect_from_https_to_http_is_not_followed() -> None:
    url = fetching.parsed("https://docs.example/a")
    with pytest.raises(UrlRefusedError, match="https to http"):
        redirected(url, "http://docs.example/a")
    assert str(redirected(url, "//other.example/b#c")) == "https://other.example/b"


class TestPermission:
    @pytest.mark.parametrize(
        ("ingestion", "url", "allowed"),
        [
            ("off", "https://docs.example/a", False),
            ("off", "https://listed.example/a", False),
            ("listed", "https://docs.example/a", False),
            ("listed", "https://listed.example/a", True),
            ("listed", "http://LISTED.example.:80/a", True),
            ("listed", "https://listed.example:8443/a", False),
            ("listed", "https://a.listed.example/a", False),
            ("listed", "https://listed.example.evil.example/a", False),
            ("listed", "https://evillisted.example/a", False),
            ("listed", "https://a.below.example/a", True),
            ("listed", "https://a.b.below.example/a", True),
            ("listed", "https://below.example/a", False),
            ("listed", "https://xbelow.example/a", False),
            ("listed", "http://wiki.example:8000/a", True),
            ("listed", "http://wiki.example/a", False),
            ("listed", "http://[fd00::7]:8000/a", True),
            ("public", "https://docs.example/a", True),
            ("public", "http://docs.example:443/a", False),
            ("public", "http://docs.example:4222/a", False),
            ("public", "http://docs.example:6379/a", False),
            ("public", "http://wiki.example:8000/a", True),
        ],
    )
    def test_hosts_and_ports(self, ingestion: str, url: str, allowed: bool) -> None:
        hosts = parse_hosts("listed.example, *.below.example, wiki.example:8000, [fd00::7]:8000")
        permission = Permission(UrlIngestion(ingestion), hosts)
        if allowed:
            permission.require(fetching.parsed(url))
        else:
            with pytest.raises(UrlRefusedError):
                permission.require(fetching.parsed(url))

    async def test_what_is_not_allowed_is_not_looked_up(self) -> None:
        async def nobody(host: str, port: int) -> list[str]:
            raise AssertionError("no name server is asked")

        async with fetcher(Permission(UrlIngestion.LISTED, parse_hosts("docs.example")), resolve=nobody) as one:
            await refusal(one, "https://inside.example/")
