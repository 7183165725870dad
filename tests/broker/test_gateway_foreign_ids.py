"""Every route that takes an id, asked with one of another tenant: for whoever asks, it does not exist."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from contracts import subjects
from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from contracts.identifiers import new_id
from contracts.settings import GatewaySettings
from gateway.app import create_app
from messaging.api_keys import KeyBook
from messaging.app import WorkerApp
from messaging.broker import Broker
from tests.support.failing_ingest import FailingIngest
from tests.support.gateways import FakeIngest, FakeWorkers, Gateway, running_gateway
from tests.support.waiting import until
from tests.support.workers import running

OWNED = {"document_id", "query_id", "letter_id"}
OF_THE_SYSTEM = {
    "/v1/alerts/{fingerprint}",
    "/v1/silences/{silence_id}",
    "/v1/rules/{name}",
    "/v1/incidents/{incident}",
    "/v1/config/revisions/{number}",
    "/v1/prometheus/api/v1/label/{name}/values",
    "/v1/keys/{key_id}",
    "/v1/keys/{key_id}/rotate",
    "/v1/tenants/{tenant}",
    "/v1/models/{model}",
}
"""Of no tenant: they take a key with the scope `ops` or `admin` of whoever runs the system (docs/keys.md); models are everybody's."""
ALL_OF_A_TENANT = (Scope.INGEST, Scope.QUERY, Scope.READ, Scope.OPS)
SECRET = "The queen is in the third hive."

Headers = dict[str, str]


def parameters(path: str) -> set[str]:
    return set(re.findall(r"{(\w+)", path))


@pytest.fixture
async def gateway(broker: Broker, nats_server, worker: WorkerApp) -> AsyncIterator[Gateway]:
    """Behind it questions are answered, documents left to the test, and what is no document becomes a dead letter."""
    FailingIngest(worker).mended = True
    workers = FakeWorkers(broker)
    await workers.start()
    async with running(worker), running_gateway(nats_server.url, auth=Auth.KEYS) as started:
        await started.ready()
        yield started
    await workers.stop()


async def key(broker: Broker, gateway: Gateway, tenant: str, *scopes: Scope) -> Headers:
    made = await KeyBook(broker).create(name="test", tenant=tenant, scopes=scopes, principal="test")
    headers = {"Authorization": f"Bearer {made.text}"}

    async def is_known() -> bool:
        return (await gateway.http.get("/v1/nothing", headers=headers)).status_code == 404

    await until(is_known)
    return headers


class Owner:
    """A tenant that has something of everything."""

    def __init__(self, broker: Broker, gateway: Gateway, headers: Headers) -> None:
        self._broker = broker
        self._gateway = gateway
        self.headers = headers
        self.make: dict[str, Callable[[], Awaitable[str]]] = {
            "document_id": self._document,
            "query_id": self._query,
            "letter_id": self._letter,
        }

    async def _document(self) -> str:
        body = {"name": "bees.txt", "text": SECRET}
        accepted = (await self._gateway.http.post("/v1/documents", headers=self.headers, json=body)).json()
        document_id = str(accepted["document_id"])
        await FakeIngest(self._broker).through(document_id, tenant="acme", text=SECRET)
        return document_id

    async def _query(self) -> str:
        answer = await self._gateway.http.post("/v1/query", headers=self.headers, json={"query": SECRET})
        return str(answer.json()["query_id"])

    async def _letter(self) -> str:
        before = await self._letters()
        payload = f'{{"no document": "{SECRET}"}}'.encode()
        await self._broker.publish_bytes(subjects.ingest_request("acme"), payload, stream="INGEST")

        async def fresh() -> set[str]:
            return await self._letters() - before

        await until(fresh)
        return (await fresh()).pop()

    async def _letters(self) -> set[str]:
        listed = (await self._gateway.http.get("/v1/dlq", headers=self.headers)).json()
        return {letter["id"] for letter in listed["items"]}


@pytest.fixture
async def owner(broker: Broker, gateway: Gateway) -> Owner:
    return Owner(broker, gateway, await key(broker, gateway, "acme", *ALL_OF_A_TENANT))


def unknown(parameter: str) -> str:
    return f"INGEST.{new_id()}" if parameter == "letter_id" else new_id()


async def routes(gateway: Gateway, headers: Headers) -> list[tuple[str, str]]:
    document = (await gateway.http.get("/openapi.json", headers=headers)).json()
    return [(method, path) for path, operations in document["paths"].items() for method in operations]


async def test_an_id_of_another_tenant_is_as_one_that_does_not_exist(
    broker: Broker, gateway: Gateway, owner: Owner
) -> None:
    strangers = [await key(broker, gateway, "other", *scopes) for scopes in (ALL_OF_A_TENANT, (Scope.ADMIN,))]
    taken = [(method, path) for method, path in await routes(gateway, owner.headers) if parameters(path) & OWNED]
    assert len(taken) >= 10

    for method, path in taken:
        (parameter,) = parameters(path)
        id, other_id = await owner.make[parameter](), unknown(parameter)
        address, nowhere = (path.replace(f"{{{parameter}}}", each) for each in (id, other_id))
        for stranger in strangers:
            status, refused = await asked(gateway, method, address, stranger)
            assert status == 404, (method, path, refused)
            _, without = await asked(gateway, method, nowhere, stranger)
            assert refused.replace(id, "ID") == without.replace(other_id, "ID")
            assert SECRET not in refused
        assert (await asked(gateway, method, address, owner.headers))[0] not in {403, 404, 422}, (method, path)


async def asked(gateway: Gateway, method: str, path: str, headers: Headers) -> tuple[int, str]:
    """The status, and what is said with it; of success nothing is read, since that may be a stream without an end."""
    async with gateway.http.stream(method, path, headers=headers) as response:
        return response.status_code, "" if response.is_success else (await response.aread()).decode()


async def test_nothing_of_another_tenant_is_in_what_takes_no_id(broker: Broker, gateway: Gateway, owner: Owner) -> None:
    stranger = await key(broker, gateway, "other", *ALL_OF_A_TENANT)
    ids = [await make() for make in owner.make.values()]

    for method, path in await routes(gateway, stranger):
        if method == "get" and not parameters(path):
            shown = (await gateway.http.get(path, headers=stranger)).text
            assert not [text for text in (SECRET, *ids) if text in shown], path


async def test_what_is_named_in_a_body_is_not_another_tenants_either(
    broker: Broker, gateway: Gateway, owner: Owner
) -> None:
    stranger = await key(broker, gateway, "other", *ALL_OF_A_TENANT)
    document, letter = await owner.make["document_id"](), await owner.make["letter_id"]()

    replayed = await gateway.http.post("/v1/dlq/replay", headers=stranger, json={"stream": "INGEST"})
    body: dict[str, Any] = {"name": "bees.txt", "text": "Wasps.", "document_id": document}
    accepted = await gateway.http.post("/v1/documents", headers=stranger, json=body)

    assert (replayed.status_code, replayed.json()["items"]) == (202, [])
    assert (await gateway.http.get(f"/v1/dlq/{letter}", headers=owner.headers)).status_code == 200
    assert (accepted.status_code, accepted.json()["version"]) == (202, 1)
    kept = await gateway.http.get(f"/v1/documents/{document}/content", headers=owner.headers)
    assert kept.text == SECRET


def test_every_route_with_an_id_is_asked_so_or_is_known_to_be_of_the_whole_system() -> None:
    """Also one that the OpenAPI document leaves out."""
    app = create_app(GatewaySettings(auth=Auth.KEYS))
    described = set(app.openapi()["paths"])
    served = {path for route in app.router.routes if (path := getattr(route, "path", None))}

    assert {path for path in served if parameters(path)} == {path for path in described if parameters(path)}
    for path in served - OF_THE_SYSTEM:
        assert parameters(path) <= OWNED, f"{path}: whose is that?"
    assert served >= OF_THE_SYSTEM
