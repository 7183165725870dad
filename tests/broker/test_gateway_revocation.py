"""A key that is revoked at one gateway opens nothing at any other within two seconds, also where no word of it arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from deploy.local.nats_server import NatsServer
from messaging.api_keys import KeyBook, NewKey
from messaging.broker import Broker
from tests.support.gateways import Gateway, running_gateway
from tests.support.subscriptions import never_woken
from tests.support.waiting import until

BOUND_S = 2.0


@pytest.fixture
async def gateways(
    broker: Broker, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two that hear of nothing: they look for changes as often as in production."""
    monkeypatch.setattr("messaging.storage.Storage._woken_by", never_woken)
    async with (
        running_gateway(nats_server.url, auth=Auth.KEYS, instance="gateway-1") as one,
        running_gateway(nats_server.url, auth=Auth.KEYS, instance="gateway-2") as other,
    ):
        await one.ready()
        await other.ready()
        yield one, other


@pytest.mark.parametrize(("through", "other"), [(0, 1), (1, 0)])
async def test_a_revoked_key_opens_nothing_at_any_gateway_within_two_seconds(
    gateways: tuple[Gateway, Gateway], broker: Broker, through: int, other: int
) -> None:
    """Revoked when the other gateway has just looked, as it shows by a key that is new: it takes as long as it may."""
    admin, revoked = await _made(broker, Scope.ADMIN), await _made(broker, Scope.READ)
    for gateway in gateways:
        await until(partial(_answers, gateway, revoked.text, 200))
    new = await _made(broker, Scope.READ)
    await until(partial(_answers, gateways[other], new.text, 200))

    response = await gateways[through].http.delete(f"/v1/keys/{revoked.key.id}", headers={"X-API-Key": admin.text})
    began = time.monotonic()

    assert response.status_code == 200
    took_s = await asyncio.gather(*(_refused_after_s(gateway, revoked.text, began) for gateway in gateways))
    assert max(took_s) <= BOUND_S


async def _made(broker: Broker, scope: Scope) -> NewKey:
    return await KeyBook(broker).create(name="x", tenant="acme", scopes=[scope], principal="test")


async def _answers(gateway: Gateway, shown: str, status: int) -> bool:
    return (await gateway.http.get("/v1/documents", headers={"X-API-Key": shown})).status_code == status


async def _refused_after_s(gateway: Gateway, shown: str, began: float) -> float:
    await until(partial(_answers, gateway, shown, 401))
    return time.monotonic() - began
