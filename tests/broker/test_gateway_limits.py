"""Limits at the door: how many requests, from whom, and what is told of it. Nobody gets around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from contracts.api_keys import Scope
from contracts.tenants import TenantTerms
from gateway.rates import network_of
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from messaging.tenants import TenantBook
from tests.support.gateways import Gateway, running_gateway
from tests.support.waiting import until

SECRET = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def gateways(nats_url: str, number: int = 1, **options: Any) -> AsyncIterator[list[Gateway]]:
    async with AsyncExitStack() as opened:
        found = [await opened.enter_async_context(running_gateway(nats_url, **options)) for _ in range(number)]
        for each in found:
            await each.ready()
        yield found


async def key(broker: Broker, *, tenant: str = "acme", rate_limit: str | None = None) -> str:
    made = await KeyBook(broker).create(
        name="a key", tenant=tenant, scopes=(Scope.READ,), principal="ada", rate_limit=rate_limit
    )
    return made.text


async def shown(gateway: Gateway, secret: str) -> dict[str, str]:
    """Headers with a key that this gateway knows."""
    headers = {"Authorization": f"Bearer {secret}"}

    async def is_known() -> bool:
        return (await gateway.http.get("/v1/nothing", headers=headers)).status_code == 404

    await until(is_known)
    return headers


async def statuses(gateway: Gateway, number: int, *, path: str = "/v1/nothing", **options: Any) -> list[int]:
    return [(await gateway.http.get(path, **options)).status_code for _ in range(number)]


async def test_an_address_has_so_many_requests_and_is_told_what_is_left(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, address_rate_limit="5/m,100/h") as (gateway,):
        first = await gateway.http.get("/v1/nothing")
        assert first.headers["RateLimit-Policy"] == '"address-60s";q=5;w=60, "address-3600s";q=100;w=3600'
        assert first.headers["RateLimit"].startswith('"address-60s";r=4;t=')

        assert await statuses(gateway, 6) == [404] * 4 + [429] * 2
        refused = await gateway.http.get("/v1/nothing")
        assert refused.json()["code"] == "too_many_requests"
        assert 0 < int(refused.headers["Retry-After"]) <= 62
        assert refused.headers["RateLimit"] == f'"address-60s";r=0;t={refused.headers["Retry-After"]}'


async def test_probes_are_always_answered(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, address_rate_limit="1/m") as (gateway,):
        assert await statuses(gateway, 5, path="/health/live") == [200] * 5
        assert await statuses(gateway, 2) == [404, 429]


async def test_without_limits_nothing_is_told_of_them(gateway: Gateway) -> None:
    assert not [name for name in (await gateway.http.get("/v1/nothing")).headers if name.startswith("ratelimit")]


async def test_who_is_refused_at_the_door_is_counted_too(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, auth="keys", address_rate_limit="3/m") as (gateway,):
        assert await statuses(gateway, 5) == [401] * 3 + [429] * 2


async def test_a_key_has_so_many_whatever_its_requests_are_made_of(broker: Broker, nats_server) -> None:
    """Other paths, other headers of forwarding, another header for the key: it is the same key."""
    secret = await key(broker)
    async with gateways(nats_server.url, auth="keys", key_rate_limit="40/h") as (gateway,):
        headers = await shown(gateway, secret)
        found = []
        for number in range(80):
            path = ("/v1/documents", "/v1//documents", "/v1/documents/", "/v1/documents?x=1", "/V1/documents")[
                number % 5
            ]
            spoofed = {
                "X-Forwarded-For": f"10.0.0.{number}",
                "Forwarded": f"for=10.0.0.{number}",
                "X-Real-IP": "1.1.1.1",
            }
            own = headers if number % 2 else {"X-API-Key": secret}
            found.append((await gateway.http.get(path, headers={**own, **spoofed})).status_code)

    assert found.count(429) >= 80 - 40
    assert set(found[40:]) == {429}


async def test_several_gateways_keep_one_limit_together(broker: Broker, nats_server) -> None:
    secret = await key(broker)
    async with gateways(nats_server.url, 3, auth="keys", key_rate_limit="120/h") as found:
        for each in found:
            await shown(each, secret)
        rounds = [statuses(each, 20, headers={"Authorization": f"Bearer {secret}"}) for each in found for _ in range(5)]
        answers = [status for statuses in await asyncio.gather(*rounds) for status in statuses]

    assert answers.count(429) == 300 - answers.count(404)
    assert 0 < answers.count(404) <= 120


async def test_many_keys_of_one_tenant_share_its_limit(broker: Broker, nats_server) -> None:
    secrets = [await key(broker) for _ in range(4)]
    other = await key(broker, tenant="other")
    async with gateways(nats_server.url, auth="keys", tenant_rate_limit="40/h") as (gateway,):
        answers = [
            (await gateway.http.get("/v1/nothing", headers={"X-API-Key": secret})).status_code
            for secret in secrets * 20
        ]
        others = (await gateway.http.get("/v1/nothing", headers={"X-API-Key": other})).status_code

    assert (answers.count(404), others) == (40, 404)


async def test_a_key_of_its_own_limit_and_the_token_it_was_exchanged_for_are_one(broker: Broker, nats_server) -> None:
    secret = await key(broker, rate_limit="10/h")
    async with gateways(nats_server.url, auth="keys", key_rate_limit="1000/h", jwt_secret=SECRET) as (gateway,):
        headers = {"Authorization": f"Bearer {secret}"}
        token = (await gateway.http.post("/v1/keys/token", json={}, headers=headers)).json()["token"]
        as_token = {"Authorization": f"Bearer {token}"}

        assert await statuses(gateway, 5, headers=as_token) == [404] * 5
        assert await statuses(gateway, 6, headers=headers) == [404] * 4 + [429] * 2
        assert await statuses(gateway, 1, headers=as_token) == [429]


async def test_what_is_agreed_with_a_tenant_goes_before_and_is_followed(broker: Broker, nats_server) -> None:
    secret, book = await key(broker), TenantBook(broker)
    async with gateways(nats_server.url, auth="keys", tenant_rate_limit="1000/h") as (gateway,):
        headers = await shown(gateway, secret)
        await book.set(TenantTerms(tenant="acme", rate_limit="50/h"))

        async def is_agreed() -> bool:
            return "q=50;" in (await gateway.http.get("/v1/nothing", headers=headers)).headers.get(
                "RateLimit-Policy", ""
            )

        await until(is_agreed)
        assert 429 in await statuses(gateway, 60, headers=headers)
        await book.remove("acme")
        await until(lambda: _is_let_in(gateway, headers))


async def _is_let_in(gateway: Gateway, headers: dict[str, str]) -> bool:
    return (await gateway.http.get("/v1/nothing", headers=headers)).status_code == 404


def forwarded(number: int) -> dict[str, str]:
    """What a proxy would say of a client; each time of another one."""
    address = f"203.0.113.{number}"
    return {"X-Forwarded-For": address, "Forwarded": f"for={address}", "X-Real-IP": address, "X-Client-IP": address}


async def test_an_address_gains_nothing_by_saying_that_it_forwards(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, address_rate_limit="5/h") as (gateway,):
        found = [(await gateway.http.get("/v1/nothing", headers=forwarded(number))).status_code for number in range(12)]

    assert found == [404] * 5 + [429] * 7


async def test_nor_where_proxies_are_trusted_and_it_is_none_of_them(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, address_rate_limit="5/h", trusted_proxies="10.0.0.0/8") as (gateway,):
        found = [(await gateway.http.get("/v1/nothing", headers=forwarded(number))).status_code for number in range(12)]

    assert found == [404] * 5 + [429] * 7


async def test_an_address_has_one_limit_at_several_gateways(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, 2, address_rate_limit="40/h") as found:
        answers = [
            (await each.http.get("/v1/nothing", headers=forwarded(number))).status_code
            for number in range(40)
            for each in found
        ]

    assert (answers.count(404), answers.count(429)) == (40, 40)


async def test_only_the_word_of_a_trusted_proxy_is_believed(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, address_rate_limit="5/h", trusted_proxies="127.0.0.1,10.0.0.0/8") as (
        gateway,
    ):

        async def asked(*forwarded: str) -> int:
            headers = [("X-Forwarded-For", each) for each in forwarded]
            return (await gateway.http.get("/v1/nothing", headers=headers)).status_code

        assert [await asked("203.0.113.7") for _ in range(6)] == [404] * 5 + [429]
        assert (
            await asked("198.51.100.1, 203.0.113.7") == 429
        )  # what the client wrote itself comes first, and counts for nothing
        assert await asked("198.51.100.1", "203.0.113.7, 10.1.1.1") == 429
        assert await asked("203.0.113.8") == 404


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_is_counted_as_its_network(address: str, counted: str) -> None:
    assert network_of(address) == counted


async def test_a_gateway_has_so_many_requests_in_hand(broker: Broker, nats_server) -> None:
    async with gateways(nats_server.url, max_requests=2) as (gateway,), AsyncExitStack() as opened:
        assert (
            await gateway.http.post("/v1/documents", json={"name": "a", "text": "b", "document_id": "a"})
        ).status_code == 202
        for _ in range(2):
            await opened.enter_async_context(gateway.http.stream("GET", "/v1/documents/a/events"))

        refused = await gateway.http.get("/v1/nothing")

        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert (await gateway.http.get("/health/live")).status_code == 200
        await opened.aclose()
        await until(lambda: _is_let_in(gateway, {}))
        assert isinstance(refused, httpx.Response)
