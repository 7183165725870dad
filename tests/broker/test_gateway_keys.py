"""Who gets in with which key, to what: every route, every scope, and everything that is no key."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from deploy.local.nats_server import NatsServer
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from tests.support.gateways import Gateway, running_gateway
from tests.support.waiting import until

I, Q, R, O, A = Scope.INGEST, Scope.QUERY, Scope.READ, Scope.OPS, Scope.ADMIN  # noqa: E741
OPEN = {"/health/live", "/health/ready"}
NEEDED: dict[str, dict[str, Scope | None]] = {
    "/v1/query": {"post": Q},
    "/v1/queries/{query_id}/events": {"get": Q},
    "/v1/queries": {"get": Q},
    "/v1/queries/{query_id}": {"get": Q, "delete": Q},
    "/v1/documents": {"get": R, "post": I},
    "/v1/documents/url": {"post": I},
    "/v1/documents/{document_id}": {"get": R, "delete": I},
    "/v1/documents/{document_id}/text": {"get": R},
    "/v1/documents/{document_id}/content": {"get": R},
    "/v1/documents/{document_id}/events": {"get": R},
    "/v1/keys": {"get": A, "post": A},
    "/v1/keys/{key_id}": {"delete": A},
    "/v1/keys/token": {"post": None},
    "/v1/audit": {"get": A},
    "/v1/chat/completions": {"post": Q},
    "/v1/embeddings": {"post": Q},
    "/v1/models": {"get": Q},
    "/v1/models/{model}": {"get": Q},
    "/v1/keys/{key_id}/rotate": {"post": A},
    "/v1/tenants": {"get": A},
    "/v1/tenants/{tenant}": {"get": A, "put": A, "delete": A},
}
"""All others need `ops`."""


def needed(path: str, method: str) -> Scope | None:
    return None if path in OPEN else NEEDED.get(path, {}).get(method, O)


@pytest.fixture
async def gateway(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as started:
        await started.ready()
        yield started


@pytest.fixture
def book(broker: Broker) -> KeyBook:
    return KeyBook(broker)


async def key(book: KeyBook, gateway: Gateway, *scopes: Scope, tenant: str = "acme", **changes: Any) -> dict[str, str]:
    """Headers with a key that is in force."""
    made = await book.create(name="test", tenant=tenant, scopes=scopes, principal="test", **changes)
    headers = {"Authorization": f"Bearer {made.text}"}

    async def known() -> bool:
        return (await gateway.http.get("/v1/nothing", headers=headers)).status_code == 404

    await until(known)
    return headers


async def requests(gateway: Gateway, headers: dict[str, str]) -> list[tuple[str, str]]:
    document = (await gateway.http.get("/openapi.json", headers=headers)).json()
    return [(path, method) for path, item in document["paths"].items() for method in item]


def concrete(path: str) -> str:
    names = {"key_id": "a" * 16, "number": "1", "name": "busy", "label": "service"}
    for part in path.split("/"):
        if part.startswith("{"):
            path = path.replace(part, names.get(part.strip("{}"), "unknown-id"))
    return path


async def test_nobody_gets_in_anywhere_without_a_key_but_to_health(gateway: Gateway, book: KeyBook) -> None:
    found = await requests(gateway, await key(book, gateway, A))
    assert len(found) > 40

    for path, method in found:
        response = await gateway.http.request(method, concrete(path))
        assert (response.status_code != 401) == (path in OPEN), (method, path)
    for path in ("/", "/v1/nothing", "/openapi.json", "/docs"):
        assert (await gateway.http.get(path)).status_code == 401


async def test_the_openapi_document_says_what_has_to_be_shown(gateway: Gateway, book: KeyBook) -> None:
    document = (await gateway.http.get("/openapi.json", headers=await key(book, gateway, A))).json()

    assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert bool(operation["security"]) == (path not in OPEN)
            assert ({"401", "403"} <= operation["responses"].keys()) == (path not in OPEN)


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_key_opens_what_its_scope_says_and_nothing_else(gateway: Gateway, book: KeyBook, scope: Scope) -> None:
    headers = await key(book, gateway, scope)

    for path, method in await requests(gateway, headers):
        wanted = needed(path, method)
        response = await gateway.http.request(method, concrete(path), headers=headers)
        refused = response.status_code == 403
        assert refused == (wanted not in {None, scope} and scope is not A), (method, path, response.text)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Token abc"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer wk_aaaaaaaaaaaaaaaa_" + "a" * 43},
        {"Authorization": "Bearer " + "x" * 7000},
        {"X-API-Key": "wk_aaaaaaaaaaaaaaaa_" + "a" * 43},
    ],
)
async def test_whatever_is_no_key_is_answered_alike(gateway: Gateway, headers: dict[str, str]) -> None:
    response = await gateway.http.get("/v1/documents", headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    plain = await gateway.http.get("/v1/documents")
    assert response.content == plain.content


async def test_a_key_is_shown_in_one_header_only(gateway: Gateway, book: KeyBook) -> None:
    shown = (await key(book, gateway, R))["Authorization"].removeprefix("Bearer ")

    async def status(*headers: tuple[str, str]) -> int:
        return (await gateway.http.get("/v1/documents", headers=list(headers))).status_code

    assert await status(("X-API-Key", shown)) == 200
    assert await status(("Authorization", f"bearer {shown}")) == 200
    assert await status(("Authorization", f"Bearer {shown}"), ("X-API-Key", "another")) == 401
    assert await status(("Authorization", f"Bearer {shown}"), ("Authorization", "Bearer another")) == 401
    assert (await gateway.http.get("/v1/documents", params={"api_key": shown})).status_code == 401


async def test_a_revoked_or_expired_key_is_as_none(gateway: Gateway, book: KeyBook, broker: Broker) -> None:
    admin = await key(book, gateway, A)
    short = await key(book, gateway, R, expires_at=broker.clock.now() + timedelta(seconds=3))
    made = (await gateway.http.post("/v1/keys", headers=admin, json={"name": "x", "scopes": ["read"]})).json()
    revoked = {"Authorization": f"Bearer {made['secret']}"}

    async def gone(headers: dict[str, str]) -> bool:
        return (await gateway.http.get("/v1/documents", headers=headers)).status_code == 401

    await until(lambda: _not(gone(revoked)))
    await gateway.http.delete(f"/v1/keys/{made['key']['id']}", headers=admin)
    await until(lambda: gone(revoked))
    await until(lambda: gone(short))


async def test_keys_are_made_listed_rotated_and_revoked(gateway: Gateway, book: KeyBook) -> None:
    admin = await key(book, gateway, A, tenant="default")
    soon = datetime.now(UTC) + timedelta(days=1)
    body = {"name": "import", "scopes": ["ingest", "read"], "tenant": "acme", "expires_at": soon.isoformat()}
    made = await gateway.http.post("/v1/keys", headers=admin, json=body)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    view = made.json()["key"]
    assert (view["name"], view["tenant"], view["scopes"], view["state"]) == (
        "import",
        "acme",
        ["ingest", "read"],
        "active",
    )
    assert made.json()["secret"].startswith(f"wk_{view['id']}_")

    rotated = await gateway.http.post(f"/v1/keys/{view['id']}/rotate", headers=admin, json={"overlap_s": 0})
    assert (rotated.status_code, rotated.json()["key"]["replaces"]) == (201, view["id"])
    revoked = await gateway.http.delete(f"/v1/keys/{rotated.json()['key']['id']}", headers=admin)
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    again = await gateway.http.post(f"/v1/keys/{view['id']}/rotate", headers=admin, json={})
    assert again.status_code == 409

    listed = await gateway.http.get("/v1/keys", headers=admin, params={"tenant": "acme"})
    assert {each["state"] for each in listed.json()["items"]} == {"revoked", "expired"}
    assert made.json()["secret"] not in listed.text
    active = await gateway.http.get("/v1/keys", headers=admin, params={"state": "active"})
    assert [each["tenant"] for each in active.json()["items"]] == ["default"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "", "scopes": ["read"]},
        {"name": "a\nb", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "tenant": "a.b"},
        {"name": "x", "scopes": ["read"], "tenant": "*"},
        {"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "scopes": ["read"], "digest": "0" * 64},
    ],
)
async def test_keys_that_make_no_sense_are_refused(gateway: Gateway, book: KeyBook, body: dict[str, Any]) -> None:
    admin = await key(book, gateway, A)

    assert (await gateway.http.post("/v1/keys", headers=admin, json=body)).status_code == 422
    assert len(await book.all()) == 1


async def test_a_tenant_sees_only_its_own_documents(gateway: Gateway, book: KeyBook) -> None:
    mine, theirs = await key(book, gateway, I, R), await key(book, gateway, I, R, tenant="other")
    accepted = await gateway.http.post("/v1/documents", headers=mine, json={"name": "a.txt", "text": "Bees dance."})
    assert accepted.status_code == 202, accepted.text
    document = accepted.json()["document_id"]

    async def status(headers: dict[str, str]) -> int:
        return (await gateway.http.get(f"/v1/documents/{document}", headers=headers)).status_code

    assert (await status(mine), await status(theirs)) == (200, 404)
    assert (await gateway.http.delete(f"/v1/documents/{document}", headers=theirs)).status_code == 404
    assert (await gateway.http.get("/v1/documents", headers=theirs)).json()["items"] == []


async def test_who_did_something_is_the_key_and_nothing_that_is_claimed(gateway: Gateway, book: KeyBook) -> None:
    ops = await key(book, gateway, O)
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"reason": "a test", "ends_at": ends_at, "claimed_by": "root"}

    paused = (await gateway.http.put("/v1/recovery/pause", headers={**ops, "X-Principal": "root"}, json=body)).json()

    assert paused["by"] == f"key:{(await book.all())[0].id}"


async def test_any_host_name_is_served_and_pages_of_others_need_a_key_too(gateway: Gateway, book: KeyBook) -> None:
    reads = await key(book, gateway, R)

    named = await gateway.http.get("/v1/documents", headers={**reads, "Host": "waggle.example"})
    assert named.status_code == 200
    assert "access-control-allow-origin" not in named.headers
    crossed = await gateway.http.post("/v1/documents", headers={"Origin": "http://evil.example"}, content=b"{}")
    assert crossed.status_code == 401


async def test_when_a_key_was_last_used_is_told(gateway: Gateway, book: KeyBook, broker: Broker) -> None:
    await key(book, gateway, A)
    gateway.drain.begin()  # the last uses are told on the way out

    async def told() -> bool:
        return bool(await book.used())

    await until(told)


class TestTokens:
    @pytest.fixture
    async def gateway(self, broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
        async with running_gateway(nats_server.url, auth=Auth.KEYS, jwt_secret="s" * 64) as started:
            await started.ready()
            yield started

    async def test_a_key_is_exchanged_for_a_token_that_ends_with_it(self, gateway: Gateway, book: KeyBook) -> None:
        headers = await key(book, gateway, R, Q)
        made = await gateway.http.post("/v1/keys/token", headers=headers, json={"scopes": ["read"], "lasts_s": 60})
        assert (made.status_code, made.headers["cache-control"], made.json()["scopes"]) == (201, "no-store", ["read"])
        shown = {"Authorization": f"Bearer {made.json()['token']}"}

        assert (await gateway.http.get("/v1/documents", headers=shown)).status_code == 200
        assert (await gateway.http.post("/v1/query", headers=shown, json={"query": "why?"})).status_code == 403
        assert (await gateway.http.post("/v1/keys/token", headers=shown, json={})).status_code == 409

        await book.revoke((await book.all())[0].id, principal="test")

        async def gone() -> bool:
            return (await gateway.http.get("/v1/documents", headers=shown)).status_code == 401

        await until(gone)

    async def test_a_token_gets_no_scope_that_its_key_has_not(self, gateway: Gateway, book: KeyBook) -> None:
        headers = await key(book, gateway, R)

        response = await gateway.http.post("/v1/keys/token", headers=headers, json={"scopes": ["admin"]})

        assert response.status_code == 422

    @pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
    async def test_tokens_of_others_are_answered_as_what_is_none(self, gateway: Gateway, algorithm: str) -> None:
        head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "x"}).encode()).decode().rstrip("=")
        shown = {"Authorization": f"Bearer {head}.e30.{'' if algorithm == 'none' else 'c2ln'}"}

        response = await gateway.http.get("/v1/documents", headers=shown)

        assert response.status_code == 401
        assert response.content == (await gateway.http.get("/v1/documents")).content

    async def test_without_a_secret_there_are_none(
        self, broker: Broker, nats_server: NatsServer, book: KeyBook
    ) -> None:
        async with running_gateway(nats_server.url, auth=Auth.KEYS) as plain:
            await plain.ready()
            headers = await key(book, plain, R)
            refused = await plain.http.post("/v1/keys/token", headers=headers, json={})
        assert (refused.status_code, "WAGGLE_JWT_SECRET" in refused.text) == (409, True)


class TestPagesOfOthers:
    ORIGIN = "https://app.example"

    @pytest.fixture
    async def gateway(self, broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
        async with running_gateway(
            nats_server.url, auth=Auth.KEYS, cors_origins=f"{self.ORIGIN}, http://x:1"
        ) as started:
            await started.ready()
            yield started

    async def test_those_that_are_named_may_ask_with_a_key(self, gateway: Gateway, book: KeyBook) -> None:
        asking = {"Origin": self.ORIGIN, "Access-Control-Request-Method": "POST"}
        asked = await gateway.http.options(
            "/v1/query", headers={**asking, "Access-Control-Request-Headers": "authorization,content-type"}
        )
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, self.ORIGIN)
        assert "access-control-allow-credentials" not in asked.headers

        headers = await key(book, gateway, R)
        found = await gateway.http.get("/v1/documents", headers={**headers, "Origin": self.ORIGIN})
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, self.ORIGIN)
        refused = await gateway.http.get("/v1/documents", headers={"Origin": self.ORIGIN})
        assert refused.status_code == 401

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "https://app.example.evil.example", "null", "http://app.example"]
    )
    async def test_no_others(self, gateway: Gateway, book: KeyBook, origin: str) -> None:
        asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert "access-control-allow-origin" not in (await gateway.http.options("/v1/query", headers=asking)).headers
        headers = await key(book, gateway, R)
        found = await gateway.http.get("/v1/documents", headers={**headers, "Origin": origin})
        assert "access-control-allow-origin" not in found.headers


async def test_before_the_broker_is_there_nobody_knows_who_may() -> None:
    async with running_gateway("nats://127.0.0.1:1", auth=Auth.KEYS) as started:
        response = await started.http.get("/v1/documents", headers={"X-API-Key": "wk_x"})
        assert (response.status_code, json.loads(response.content)["code"]) == (503, "temporarily_unavailable")
        assert (await started.http.get("/health/live")).status_code == 200


async def _not(found: Any) -> bool:
    return not await found
