"""How many requests one tenant has in hand at a gateway: never so many that others find it full."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from tests.support.gateways import Gateway, running_gateway
from tests.support.waiting import until

ROOM = 10


async def key(broker: Broker, gateway: Gateway, tenant: str) -> dict[str, str]:
    """Headers of a tenant's key that the gateway knows, with a document to follow."""
    scopes = (Scope.READ, Scope.INGEST)
    made = await KeyBook(broker).create(name="test", tenant=tenant, scopes=scopes, principal="test")
    headers = {"Authorization": f"Bearer {made.text}"}
    body = {"name": "a", "text": "Bees.", "document_id": "a"}

    async def is_submitted() -> bool:
        return (await gateway.http.post("/v1/documents", headers=headers, json=body)).status_code == 202

    await until(is_submitted)
    return headers


async def follow(gateway: Gateway, headers: dict[str, str], opened: AsyncExitStack) -> httpx.Response:
    """A stream that stays open as long as `opened`."""
    stream = gateway.http.stream("GET", "/v1/documents/a/events", headers=headers)
    return await opened.enter_async_context(stream)


async def test_a_tenant_leaves_room_for_others_and_each_comes_to_its_share(broker: Broker, nats_server) -> None:
    async with running_gateway(nats_server.url, auth=Auth.KEYS, max_requests=ROOM) as gateway:
        await gateway.ready()
        bulk, few = await key(broker, gateway, "bulk"), await key(broker, gateway, "few")
        async with AsyncExitStack() as of_bulk:
            opened = [(await follow(gateway, bulk, of_bulk)).status_code for _ in range(ROOM)]
            assert opened == [200] * 8 + [429] * 2

            refused = await gateway.http.get("/v1/documents", headers=bulk)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert "This tenant has 8 requests in hand" in refused.json()["detail"]
            assert [(await gateway.http.get("/v1/documents", headers=few)).status_code for _ in range(3)] == [200] * 3
            async with AsyncExitStack() as of_few:
                assert [(await follow(gateway, few, of_few)).status_code for _ in range(2)] == [200] * 2
                assert (await gateway.http.get("/v1/documents", headers=few)).status_code == 503  # all of it is in use

        async def all_is_free_again() -> bool:
            async with AsyncExitStack() as again:
                return [(await follow(gateway, bulk, again)).status_code for _ in range(8)] == [200] * 8

        await until(all_is_free_again)
