"""What is agreed with tenants: quotas that hold, and what each of them has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from tests.support.gateways import FakeIngest, Gateway, running_gateway
from tests.support.waiting import until


@pytest.fixture
async def gateway(broker: Broker, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as started:
        await started.ready()
        yield started


@pytest.fixture
async def admin(broker: Broker, gateway: Gateway) -> dict[str, str]:
    return await key(broker, gateway, Scope.ADMIN, tenant="ops")


async def key(broker: Broker, gateway: Gateway, *scopes: Scope, tenant: str = "acme") -> dict[str, str]:
    made = await KeyBook(broker).create(name="test", tenant=tenant, scopes=scopes, principal="test")
    headers = {"Authorization": f"Bearer {made.text}"}

    async def is_known() -> bool:
        return (await gateway.http.get("/v1/nothing", headers=headers)).status_code == 404

    await until(is_known)
    return headers


async def agree(gateway: Gateway, admin: dict[str, str], tenant: str = "acme", **terms: Any) -> None:
    agreed = await gateway.http.put(f"/v1/tenants/{tenant}", headers=admin, json=terms)
    assert agreed.status_code == 200
    path = f"/v1/tenants/{tenant}"

    async def is_followed() -> bool:
        return bool((await gateway.http.get(path, headers=admin)).json()["terms"] == {**NOTHING, **terms})

    await until(is_followed)


NOTHING = {"rate_limit": None, "max_documents": None, "max_bytes": None, "weight": 1.0}


async def submit(gateway: Gateway, headers: dict[str, str], name: str, text: str = "Bees dance.") -> int:
    body = {"name": name, "text": text, "document_id": name}
    return (await gateway.http.post("/v1/documents", headers=headers, json=body)).status_code


async def usage(gateway: Gateway, admin: dict[str, str], tenant: str = "acme") -> dict[str, int]:
    shown = (await gateway.http.get(f"/v1/tenants/{tenant}", headers=admin)).json()
    return dict(shown["usage"])


async def has(gateway: Gateway, admin: dict[str, str], documents: int, tenant: str = "acme") -> None:
    async def is_so() -> bool:
        return (await usage(gateway, admin, tenant))["documents"] == documents

    await until(is_so)


async def test_a_tenant_has_what_it_submitted_until_that_is_deleted(broker: Broker, gateway: Gateway, admin) -> None:
    headers = await key(broker, gateway, Scope.INGEST)
    for name in ("one", "two"):
        assert await submit(gateway, headers, name) == 202
    await has(gateway, admin, 2)
    assert await usage(gateway, admin) == {"documents": 2, "bytes": 22, "waiting": 2}

    await FakeIngest(broker).through("one", tenant="acme")
    await gateway.http.delete("/v1/documents/two", headers=headers)

    await has(gateway, admin, 1)
    assert await usage(gateway, admin) == {"documents": 1, "bytes": 11, "waiting": 0}


async def test_no_more_documents_than_agreed_but_new_versions_of_those(broker: Broker, gateway: Gateway, admin) -> None:
    headers, others = await key(broker, gateway, Scope.INGEST), await key(broker, gateway, Scope.INGEST, tenant="other")
    await agree(gateway, admin, max_documents=2)
    for name in ("one", "two"):
        assert await submit(gateway, headers, name) == 202
    await has(gateway, admin, 2)

    refused = await gateway.http.post("/v1/documents", headers=headers, json={"name": "three", "text": "Bees."})

    assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded")
    assert "2 documents" in refused.json()["detail"]
    assert await submit(gateway, headers, "two", "Another text.") == 202
    assert await submit(gateway, others, "three") == 202
    await gateway.http.delete("/v1/documents/one", headers=headers)
    await has(gateway, admin, 1)
    assert await submit(gateway, headers, "three") == 202


async def test_no_more_bytes_than_agreed_however_they_come(broker: Broker, gateway: Gateway, admin) -> None:
    headers = await key(broker, gateway, Scope.INGEST)
    await agree(gateway, admin, max_bytes=100)
    assert await submit(gateway, headers, "one", "x" * 60) == 202
    await has(gateway, admin, 1)

    assert await submit(gateway, headers, "two", "x" * 41) == 403
    form = {"files": ("three.txt", b"x" * 5000)}
    refused = await gateway.http.post("/v1/documents", headers=headers, files=form)
    assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded")
    assert await submit(gateway, headers, "four", "x" * 40) == 202
    await has(gateway, admin, 2)
    assert await submit(gateway, headers, "five", "x") == 403


async def test_what_comes_in_at_one_moment_does_not_go_beyond_a_quota_together(
    broker: Broker, gateway: Gateway, admin
) -> None:
    headers = await key(broker, gateway, Scope.INGEST)
    await agree(gateway, admin, max_bytes=1000)

    async def is_known() -> bool:
        return await submit(gateway, headers, "large", "x" * 1001) == 403

    await until(is_known)
    await gateway.http.delete("/v1/documents/large", headers=headers)
    await has(gateway, admin, 0)
    both_are_on_their_way = asyncio.Barrier(2)

    async def form(name: str) -> AsyncIterator[bytes]:
        yield f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}.txt"\r\n\r\n'.encode()
        yield name.encode() * 300
        await both_are_on_their_way.wait()
        yield name.encode() * 300
        yield b"\r\n--b--\r\n"

    boundary = headers | {"Content-Type": "multipart/form-data; boundary=b"}
    responses = await asyncio.gather(
        *(gateway.http.post("/v1/documents", headers=boundary, content=form(name)) for name in ("a", "b"))
    )

    assert sorted(response.status_code for response in responses) == [202, 403]
    await has(gateway, admin, 1)
    assert await submit(gateway, headers, "rest", "x" * 400) == 202


async def test_of_an_upload_what_fits_is_accepted_and_the_rest_named(broker: Broker, gateway: Gateway, admin) -> None:
    headers = await key(broker, gateway, Scope.INGEST)
    await agree(gateway, admin, max_bytes=50)
    files = [("files", (f"{size}.txt", b"x" * size)) for size in (20, 500, 10)]

    uploaded = (await gateway.http.post("/v1/documents", headers=headers, files=files)).json()["items"]

    assert [item.get("problem", {}).get("code", "accepted") for item in uploaded] == [
        "accepted",
        "quota_exceeded",
        "accepted",
    ]


async def test_a_quota_of_the_settings_holds_where_nothing_else_is_agreed(broker: Broker, nats_server) -> None:
    async with running_gateway(nats_server.url, tenant_max_documents=0) as gateway:
        await gateway.ready()
        assert (await gateway.http.post("/v1/documents", json={"name": "a", "text": "b"})).status_code == 403
        await gateway.http.put("/v1/tenants/default", json={"max_documents": 1})

        async def is_let_in() -> bool:
            return await submit(gateway, {}, "one") == 202

        await until(is_let_in)


async def test_tenants_are_listed_page_by_page(broker: Broker, gateway: Gateway, admin) -> None:
    headers = await key(broker, gateway, Scope.INGEST, tenant="bees")
    for tenant in ("acme", "zoo"):
        await agree(gateway, admin, tenant, weight=2.0)
    assert await submit(gateway, headers, "one") == 202
    await has(gateway, admin, 1, "bees")

    first = (await gateway.http.get("/v1/tenants", headers=admin, params={"limit": 2})).json()
    second = (await gateway.http.get("/v1/tenants", headers=admin, params={"cursor": first["next"]})).json()

    assert [each["tenant"] for each in first["items"] + second["items"]] == ["acme", "bees", "zoo"]
    assert [bool(each["agreed_by"]) for each in first["items"]] == [True, False]
    assert second["next"] is None


async def test_an_agreement_ends(gateway: Gateway, admin) -> None:
    await agree(gateway, admin, max_documents=5)

    ended = await gateway.http.delete("/v1/tenants/acme", headers=admin)

    assert (ended.status_code, ended.json()["terms"], ended.json()["agreed_at"]) == (200, NOTHING, None)
    assert (await gateway.http.get("/v1/tenants", headers=admin)).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"rate_limit": "lots"},
        {"max_documents": -1},
        {"max_bytes": True},
        {"max_documents": "5"},
        {"weight": 0},
        {"weight": "heavy"},
        {"tenant": "other"},
        [],
    ],
)
async def test_what_cannot_be_agreed_is_refused(gateway: Gateway, admin, body: Any) -> None:
    refused = await gateway.http.put("/v1/tenants/acme", headers=admin, json=body)

    assert refused.status_code == 422
    assert (await gateway.http.get("/v1/tenants/acme", headers=admin)).json()["terms"] == NOTHING
