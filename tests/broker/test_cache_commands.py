"""`waggle cache stats|clear` as people run it, on a real broker."""

from __future__ import annotations

import pytest

from contracts.cache_settings import CacheBackend, CacheSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.caching.factory import build_cache
from messaging.caching.keys import CacheKey, CacheKind
from tests.support.commands import Command, Ran
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until


async def waggle(server: NatsServer, *arguments: str, cache: str = "nats") -> Ran:
    command = Command("cache", environment={"WAGGLE_NATS_URL": server.url, "WAGGLE_CACHE": cache})
    return await command(*arguments)


def key(tenant: str) -> CacheKey:
    return CacheKey.of(CacheKind.ANSWER, tenant, question="Why?")


@pytest.mark.parametrize("backend", [CacheBackend.NATS, CacheBackend.MEMORY])
async def test_a_tenants_entries_are_forgotten_everywhere(
    broker: Broker, nats_server: NatsServer, backend: CacheBackend
) -> None:
    ours = build_cache(CacheSettings(cache=backend), broker)
    await ours.open()
    await known_to_broker(broker)
    for tenant in ("acme", "other"):
        await ours.set(key(tenant), b"because", 60)
    ran = await waggle(nats_server, "clear", "--tenant", "acme", "--json", cache=backend.value)
    assert ran.code == 0, ran.err
    assert ran.json == {
        "cache": backend.value, "tenant": "acme", "removed": int(backend is CacheBackend.NATS)
    }  # fmt: skip

    async def gone() -> bool:
        return await ours.get(key("acme")) is None

    await until(gone)
    assert await ours.get(key("other")) == b"because"
    assert (await waggle(nats_server, "clear", "--all", cache=backend.value)).code == 0

    async def all_gone() -> bool:
        return await ours.get(key("other")) is None

    await until(all_gone)
    await ours.close()


async def test_what_the_shared_cache_holds_is_told(broker: Broker, nats_server: NatsServer) -> None:
    ours = build_cache(CacheSettings(cache=CacheBackend.NATS), broker)
    await ours.open()
    await ours.set(key("acme"), b"because", 60)
    ran = await waggle(nats_server, "stats", "--json")
    (item,) = ran.json["items"]
    assert (ran.code, item["level"], item["entries"]) == (0, "nats", 1)
    assert item["bytes"] > 0
    assert "nats" in (await waggle(nats_server, "stats")).out
    assert "nothing is shared" in (await waggle(nats_server, "stats", cache="memory")).out
    assert "Nothing is cached" in (await waggle(nats_server, "stats", cache="off")).out
    assert "Nothing is cached" in (await waggle(nats_server, "clear", "--all", cache="off")).out
    await ours.close()


@pytest.mark.parametrize(
    "arguments", [("clear",), ("clear", "--all", "--tenant", "a"), ("clear", "--tenant", "no.tenant")]
)
async def test_what_is_to_be_forgotten_must_be_said(
    broker: Broker, nats_server: NatsServer, arguments: tuple[str, ...]
) -> None:
    ran = await waggle(nats_server, *arguments)
    assert ran.code == 2
    assert ran.err.startswith("Error: ")
    assert "Traceback" not in ran.err
