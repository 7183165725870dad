"""When each key was last used, as `GET /v1/keys` shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

import pytest

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from deploy.local.nats_server import NatsServer
from messaging.api_keys import KeyBook, KeyUses, NewKey
from messaging.broker import Broker
from tests.support.gateways import Gateway, running_gateway
from tests.support.waiting import until


@pytest.fixture
async def gateway(broker: Broker, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """Tells of uses again and again at once."""
    monkeypatch.setattr("gateway.admittance.KeyUses", partial(KeyUses, tell_s=0.1))
    async with running_gateway(nats_server.url, auth=Auth.KEYS) as started:
        await started.ready()
        yield started


async def test_it_is_shown_to_the_minute_and_null_for_one_that_nobody_used(gateway: Gateway, broker: Broker) -> None:
    admin, used, spare = [await _made(broker, scope) for scope in (Scope.ADMIN, Scope.READ, Scope.READ)]
    began = broker.clock.now().replace(second=0, microsecond=0)
    await until(partial(_opens, gateway, used.text))
    ended = broker.clock.now()

    async def shown() -> bool:
        return (await _last_used(gateway, admin))[used.key.id] is not None

    await until(shown)
    found = await _last_used(gateway, admin)
    at = found[used.key.id]
    assert at is not None
    assert began <= at <= ended
    assert (at.second, at.microsecond, found[spare.key.id]) == (0, 0, None)


async def test_a_later_use_is_told_as_well(gateway: Gateway, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    admin, clock = await _made(broker, Scope.ADMIN), type(broker.clock)
    now = clock.now
    await until(partial(_opens, gateway, admin.text))
    later = broker.clock.now() + timedelta(minutes=5)

    async def shown() -> datetime | None:
        return (await _last_used(gateway, admin))[admin.key.id]

    await until(shown)
    monkeypatch.setattr(clock, "now", lambda this: now(this) + timedelta(minutes=6))

    async def moved() -> bool:
        at = await shown()
        return at is not None and at >= later

    await until(moved)


async def _made(broker: Broker, scope: Scope) -> NewKey:
    return await KeyBook(broker).create(name="x", tenant="acme", scopes=[scope], principal="test")


async def _opens(gateway: Gateway, shown: str) -> bool:
    return (await gateway.http.get("/v1/documents", headers={"X-API-Key": shown})).status_code == 200


async def _last_used(gateway: Gateway, admin: NewKey) -> dict[str, datetime | None]:
    response = await gateway.http.get("/v1/keys", headers={"X-API-Key": admin.text})
    found = {each["id"]: each["last_used_at"] for each in response.json()["items"]}
    return {key_id: None if at is None else datetime.fromisoformat(at) for key_id, at in found.items()}
