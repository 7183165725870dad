"""Tokens of an identity provider at a gateway: let in by its keys as they are now, and all others answered alike."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from jwt.algorithms import RSAAlgorithm

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from deploy.local.nats_server import NatsServer
from gateway.tokens import SigningKeys
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from tests.support.gateways import Gateway, running_gateway
from tests.support.receivers import HttpReceiver, Reply
from tests.support.tokens import HOSTILE, ISSUER, OTHER_RSA, PUBLIC, RSA, SECRET, jwk, token, write
from tests.support.waiting import until

OLD, NEW = jwk(RSAAlgorithm, RSA, kid="old"), jwk(RSAAlgorithm, OTHER_RSA, kid="new")
OLD_TOKEN, NEW_TOKEN = token(RSA, kid="old"), token(OTHER_RSA, kid="new")
MEGABYTES = {"a megabyte", "a megabyte of claims"}


class Provider(Protocol):
    """Who publishes keys."""

    source: str

    def publish(self, *keys: dict[str, Any]) -> None:
        """Without keys: they cannot be read."""
        ...


class KeyFile:
    def __init__(self, file: Path) -> None:
        self.source = str(file)

    def publish(self, *keys: dict[str, Any]) -> None:
        write(Path(self.source), *keys)


class KeyServer:
    def __init__(self, receiver: HttpReceiver) -> None:
        self.source = f"{receiver.url}/jwks.json"
        self._receiver = receiver
        self.publish()

    def publish(self, *keys: dict[str, Any]) -> None:
        self._receiver.otherwise = Reply(body=json.dumps({"keys": keys}).encode()) if keys else Reply(status=503)


@pytest.fixture(params=["file", "url"])
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
    if request.param == "file":
        yield KeyFile(tmp_path / "jwks.json")
        return
    async with HttpReceiver.running() as receiver:
        yield KeyServer(receiver)


@pytest.fixture
async def gateway(
    broker: Broker, nats_server: NatsServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    """Reads the provider's keys again and again at once."""
    monkeypatch.setattr("gateway.tokens.SigningKeys", partial(SigningKeys, again_s=0.1, unknown_s=0.1))
    async with believing(nats_server, provider.source) as started:
        await started.ready()
        yield started


def believing(nats_server: NatsServer, source: str) -> Any:
    return running_gateway(nats_server.url, auth=Auth.KEYS, jwt_secret=SECRET, jwt_jwks=source, jwt_issuer=ISSUER)


async def answered(gateway: Gateway, shown: str, status: int) -> bool:
    response = await gateway.http.get("/v1/documents", headers={"Authorization": f"Bearer {shown}"})
    return response.status_code == status


async def test_a_provider_signs_with_other_keys_from_now_on(gateway: Gateway, provider: Provider) -> None:
    provider.publish(OLD)
    await until(partial(answered, gateway, OLD_TOKEN, 200))
    assert await answered(gateway, NEW_TOKEN, 401)

    provider.publish(OLD, NEW)
    await until(partial(answered, gateway, NEW_TOKEN, 200))
    assert await answered(gateway, OLD_TOKEN, 200)

    provider.publish(NEW)
    await until(partial(answered, gateway, OLD_TOKEN, 401))
    assert await answered(gateway, NEW_TOKEN, 200)


async def test_before_its_keys_were_ever_read_nobody_knows_who_may_by_a_token(
    gateway: Gateway, provider: Provider, broker: Broker
) -> None:
    response = await gateway.http.get("/v1/documents", headers={"Authorization": f"Bearer {OLD_TOKEN}"})
    assert (response.status_code, response.json()["code"]) == (503, "temporarily_unavailable")

    key = await KeyBook(broker).create(name="x", tenant="acme", scopes=[Scope.READ], principal="test")
    await until(partial(answered, gateway, key.text, 200))
    assert await answered(gateway, token(SECRET, "HS256", None), 200)

    provider.publish(OLD)
    await until(partial(answered, gateway, OLD_TOKEN, 200))


async def test_a_token_allows_what_its_scopes_say_and_is_of_one_tenant(gateway: Gateway, provider: Provider) -> None:
    provider.publish(OLD)
    await until(partial(answered, gateway, OLD_TOKEN, 200))
    writes = {"Authorization": f"Bearer {token(kid='old', scope='ingest')}"}

    accepted = await gateway.http.post("/v1/documents", headers=writes, json={"name": "a.txt", "text": "Bees dance."})
    assert accepted.status_code == 202, accepted.text
    path = f"/v1/documents/{accepted.json()['document_id']}"

    async def status(shown: str) -> int:
        return (await gateway.http.get(path, headers={"Authorization": f"Bearer {shown}"})).status_code

    assert (await gateway.http.get(path, headers=writes)).status_code == 403
    assert (await status(OLD_TOKEN), await status(token(kid="old", tenant="other"))) == (200, 404)


class TestHostile:
    @pytest.fixture
    async def gateway(self, broker: Broker, nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Gateway]:
        write(tmp_path / "jwks.json", *PUBLIC)
        async with believing(nats_server, str(tmp_path / "jwks.json")) as started:
            await started.ready()
            yield started

    async def test_every_one_is_answered_as_what_is_none(self, gateway: Gateway) -> None:
        assert await answered(gateway, token(), 200)
        none = await gateway.http.get("/v1/documents")
        assert none.status_code == 401
        shown = {name: f"Bearer {text}".strip().encode() for name, text in HOSTILE.items() if name not in MEGABYTES}

        found = {
            name: await gateway.http.get("/v1/documents", headers={b"Authorization": value})
            for name, value in shown.items()
        }

        assert {name: (each.status_code, each.content) for name, each in found.items()} == dict.fromkeys(
            shown, (401, none.content)
        )
        assert {frozenset(each.headers) for each in found.values()} == {frozenset(none.headers)}

    @pytest.mark.parametrize("name", sorted(MEGABYTES))
    async def test_a_megabyte_is_refused_as_a_head_before_anybody_looks_at_it(
        self, gateway: Gateway, name: str
    ) -> None:
        request = f"GET /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {HOSTILE[name]}\r\n\r\n"

        answer = await asyncio.to_thread(_answer, gateway.url, request.encode())

        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b'"code": "head_too_large"' in answer


def _answer(url: str, request: bytes) -> bytes:
    """Of a gateway that may have answered, and closed the connection, before all was sent."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=30) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        return connection.recv(65_536)
