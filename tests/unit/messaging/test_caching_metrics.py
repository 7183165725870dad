"""What a cache tells as metrics, and which one the settings name."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts.cache_settings import CacheBackend, CacheSettings
from contracts.errors import PermanentError
from contracts.settings import AllSettings
from contracts.settings_source import ConfigurationError
from messaging.caching import CacheKind, build_cache, measure
from messaging.caching.memory import ENTRY_BYTES, MemoryCache
from messaging.caching.metrics import DESCRIPTIONS
from messaging.caching.off import NoCache
from messaging.caching.statistics import Counts
from tests.unit.messaging.cache_contract import TTL_S, key

NO_BROKER: Any = None


def told(reader: InMemoryMetricReader) -> dict[str, dict[tuple[str, ...], int]]:
    """Values by metric and attributes."""
    data = reader.get_metrics_data()
    return {
        metric.name: {tuple(map(str, (p.attributes or {}).values())): int(p.value) for p in metric.data.data_points}  # type: ignore[union-attr]
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


async def test_counters_are_metrics_by_level_and_kind() -> None:
    reader = InMemoryMetricReader()
    cache = MemoryCache(max_bytes=2**20, max_entries=1)
    measure(cache, MeterProvider([reader], shutdown_on_exit=False).get_meter("test"))
    await cache.get(key())
    await cache.set(key(), b"12345", TTL_S)
    await cache.get(key())
    await cache.set(key(kind=CacheKind.QUESTION_VECTOR), b"12345", TTL_S)
    metrics = told(reader)
    assert metrics["waggle.cache.hits"] == {("memory", "answer"): 1, ("memory", "question-vector"): 0}
    assert metrics["waggle.cache.misses"][("memory", "answer")] == 1
    assert metrics["waggle.cache.sets"] == {("memory", "answer"): 1, ("memory", "question-vector"): 1}
    assert metrics["waggle.cache.evictions"][("memory", "answer")] == 1
    assert metrics["waggle.cache.entries"] == {("memory",): 1}
    assert metrics["waggle.cache.bytes"] == {("memory",): 5 + ENTRY_BYTES}


def test_every_counter_is_a_metric_and_described() -> None:
    assert set(DESCRIPTIONS) == {field.name for field in fields(Counts)}


async def test_the_hit_rate_is_of_what_was_answered() -> None:
    cache = MemoryCache(max_bytes=2**20, max_entries=10)
    assert (await cache.stats())[0].hit_rate == 0.0
    await cache.set(key(), b"value", TTL_S)
    for name in ("k", "k", "k", "missing"):
        await cache.get(key(name))
    assert (await cache.stats())[0].hit_rate == 0.75


async def test_off_keeps_nothing_and_tells_nothing() -> None:
    cache = build_cache(CacheSettings(cache=CacheBackend.OFF), NO_BROKER)
    await cache.open()
    await cache.set(key(), b"value", TTL_S)
    assert await cache.get(key()) is None
    assert await cache.clear(None) == 0
    assert await cache.stats() == ()
    assert isinstance(cache, NoCache)
    await cache.close()


def test_redis_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "messaging.caching.redis", raising=False)
    with pytest.raises(PermanentError, match=r"\.\[redis\]"):
        build_cache(CacheSettings(cache=CacheBackend.REDIS), NO_BROKER)


@pytest.mark.parametrize("url", ["redis://queen:honey@hive:6379", "redis://:honey@hive", "redis://hive?password=honey"])
def test_addresses_of_redis_hold_no_secrets(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WAGGLE_REDIS_URL", url)
    with pytest.raises(ConfigurationError, match="WAGGLE_REDIS_PASSWORD") as refused:
        AllSettings.load()
    assert "honey" not in str(refused.value)


def test_an_address_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_REDIS_URL", "http://hive:6379")
    with pytest.raises(ConfigurationError, match=r"WAGGLE_REDIS_URL: must begin with redis://"):
        AllSettings.load()


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_REDIS_PASSWORD", "honey")
    assert "honey" not in repr(CacheSettings.load())
