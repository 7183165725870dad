"""What is done to the system is told: who, from where, to what, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import topology
from contracts.api_keys import Scope
from contracts.audit import ActOutcome, AdminAct, AuditKind
from contracts.gateway_settings import Auth
from contracts.settings import GatewaySettings
from deploy.local.nats_server import NatsServer
from gateway.app import create_app
from gateway.audited import ACTS, AuditedRoute
from messaging.api_keys import KeyBook
from messaging.audit import AuditLog, AuditTrail
from messaging.broker import Broker
from tests.broker.test_gateway_keys import key, needed
from tests.support.failing_ingest import FailingIngest, fail
from tests.support.gateways import Gateway, running_gateway

TOLD_ELSEWHERE = {"change_config", "roll_back_config", "answer_decision"}
"""Their events are in OPS as they are."""
READS = {"exchange_key"}
HOUR = timedelta(hours=1)


@pytest.fixture
async def keyed(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as started:
        await started.ready()
        yield started


async def acts(gateway: Gateway, headers: dict[str, str] | None = None, **parameters: Any) -> list[dict[str, Any]]:
    response = await gateway.http.get("/v1/audit", headers=headers or {}, params=parameters)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


def test_everything_that_changes_the_system_is_told() -> None:
    document = create_app(GatewaySettings()).openapi()
    changing = {
        operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "get" and "prometheus" not in path and needed(path, method) in {Scope.OPS, Scope.ADMIN, None}
    }
    assert changing - READS == ACTS.keys() | TOLD_ELSEWHERE
    routes = {route.name: route for route in create_app(GatewaySettings()).routes if isinstance(route, AuditedRoute)}
    assert ACTS.keys() <= routes.keys()


async def test_an_act_is_told_once_with_who_from_where_and_what_came_of_it(keyed: Gateway, broker: Broker) -> None:
    admin = await key(KeyBook(broker), keyed, Scope.ADMIN)
    made = await keyed.http.post(
        "/v1/keys", headers={**admin, "X-Request-Id": "ticket-7"}, json={"name": "import", "scopes": ["read"]}
    )
    view, secret = made.json()["key"], made.json()["secret"]
    await keyed.http.delete(f"/v1/keys/{view['id']}", headers=admin)

    created, revoked = await acts(keyed, admin)

    assert (created["kind"], created["action"], created["target"]) == ("keys", "create_key", view["id"])
    assert (created["outcome"], created["status"], created["detail"]) == ("done", 201, "import: read for default")
    assert (created["by"], created["tenant"], created["address"]) == (view["created_by"], "acme", "127.0.0.1")
    assert created["request_id"] == "ticket-7"
    assert (revoked["action"], revoked["target"], revoked["outcome"]) == ("revoke_key", view["id"], "done")
    for at in range(1, (await broker.js.stream_info("OPS")).state.last_seq + 1):
        assert secret.encode() not in ((await broker.js.get_msg("OPS", at)).data or b"")


async def test_every_kind_of_act_is_told(gateway: Gateway, ingest: FailingIngest) -> None:
    http, ends_at = gateway.http, (datetime.now(UTC) + HOUR).isoformat()
    silence = (await http.post("/v1/silences", json={"matchers": ["alertname=A"], "ends_at": ends_at})).json()
    await http.delete(f"/v1/silences/{silence['id']}")
    await http.put("/v1/rules/mine", json={"text": "groups: []"})
    await http.delete("/v1/rules/mine")
    await http.put("/v1/recovery/pause", json={"reason": "moving", "ends_at": ends_at})
    await http.delete("/v1/recovery/pause")
    await http.patch("/v1/config", json={"values": {"top_k": 7}, "because": "a test"})
    await http.post("/v1/config/rollback", json={"because": "back"})
    await http.put("/v1/tenants/acme", json={"weight": 2})
    letter = await fail(gateway, "bees")
    await http.post("/v1/dlq/replay", json={"stream": "EMBED"})
    await http.delete(f"/v1/dlq/{letter['id']}")

    told = [(each["kind"], each["action"], each["target"], each["outcome"]) for each in await acts(gateway)]

    assert told == [
        ("silences", "add_silence", silence["id"], "done"),
        ("silences", "end_silence", silence["id"], "done"),
        ("rules", "put_rules", "mine", "done"),
        ("rules", "remove_rules", "mine", "done"),
        ("recovery", "pause_recovery", "", "done"),
        ("recovery", "resume_recovery", "", "done"),
        ("config", "change_config", "revision 1", "done"),
        ("config", "roll_back_config", "revision 2", "done"),
        ("tenants", "agree", "acme", "done"),
        ("dead_letters", "replay_dead_letters", "", "done"),
        ("dead_letters", "drop_dead_letter", letter["id"], "done"),
    ]
    assert [each["action"] for each in await acts(gateway, kind=["rules", "config"])] == [
        "put_rules",
        "remove_rules",
        "change_config",
        "roll_back_config",
    ]
    assert await acts(gateway, principal="somebody") == []
    assert await acts(gateway, until=(datetime.now(UTC) - HOUR).isoformat()) == []


async def test_acts_are_read_page_by_page_in_their_order(gateway: Gateway) -> None:
    for n in range(3):
        await gateway.http.put(f"/v1/tenants/t{n}", json={"weight": 2})
        await gateway.http.patch("/v1/config", json={"values": {"top_k": 5 + n}, "because": "a test"})
    whole, found, cursor = await acts(gateway), [], None
    while True:
        page = (
            await gateway.http.get("/v1/audit", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        ).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break

    assert [each["action"] for each in whole] == ["agree", "change_config"] * 3
    assert found == whole


async def test_what_is_refused_is_told_and_what_may_not_be_asked_for_is_not(keyed: Gateway, broker: Broker) -> None:
    book = KeyBook(broker)
    admin, ops = await key(book, keyed, Scope.ADMIN), await key(book, keyed, Scope.OPS)
    await keyed.http.delete(f"/v1/keys/{'a' * 16}", headers=admin)
    await keyed.http.post("/v1/keys", headers=admin, json={"name": "x", "scopes": ["root"]})
    assert (await keyed.http.delete(f"/v1/keys/{'a' * 16}", headers=ops)).status_code == 403
    assert (await keyed.http.get("/v1/audit", headers=ops)).status_code == 403

    told = [(each["action"], each["outcome"], each["status"], each["detail"]) for each in await acts(keyed, admin)]

    assert told == [
        ("revoke_key", "refused", 404, "not_found"),
        ("create_key", "refused", 422, "invalid_request"),
    ]


async def test_what_comes_again_under_its_idempotency_key_is_told_as_repeated(gateway: Gateway) -> None:
    for _ in range(2):
        await gateway.http.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers={"Idempotency-Key": "once"})

    assert [each["outcome"] for each in await acts(gateway)] == ["done", "repeated"]


async def test_what_cannot_be_told_is_not_done(gateway: Gateway, broker: Broker) -> None:
    await broker.js.delete_stream(topology.OPS.name)

    refused = await gateway.http.post("/v1/keys", json={"name": "x", "scopes": ["read"]})

    assert (refused.status_code, refused.json()["code"]) == (503, "temporarily_unavailable")
    assert await KeyBook(broker).all() == []


def _act(id: str = "a-1", **changes: Any) -> AdminAct:
    return AdminAct(id=id, kind=AuditKind.KEYS, action="create_key", principal="test", **changes)


async def test_an_act_whose_end_was_never_told_is_unknown(gateway: Gateway, broker: Broker) -> None:
    await AuditTrail(broker).begin(_act())

    (told,) = await acts(gateway)

    assert (told["outcome"], told["by"]) == ("unknown", "test")


async def test_telling_twice_tells_once(broker: Broker) -> None:
    trail = AuditTrail(broker)
    for _ in range(2):
        await trail.begin(_act())
        await trail.end(_act(outcome=ActOutcome.DONE))

    page = await AuditLog(broker).page()

    assert [event.id for event in page.events if isinstance(event, AdminAct)] == ["a-1"]


async def test_an_act_that_raises_is_told_as_unknown(broker: Broker) -> None:
    with pytest.raises(ZeroDivisionError):
        async with AuditTrail(broker).telling(_act()):
            raise ZeroDivisionError

    (told,) = (await AuditLog(broker).page()).events

    assert isinstance(told, AdminAct)
    assert told.outcome is ActOutcome.UNKNOWN
