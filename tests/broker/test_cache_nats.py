"""The cache in the broker's bucket, alone and behind the memory of each process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts import subjects, topology
from contracts.cache_settings import CacheBackend, CacheSettings
from contracts.errors import TransientError
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.caching import SingleFlight, build_cache
from messaging.caching.base import MAX_TTL_S, MAX_VALUE_BYTES, Cache
from messaging.caching.memory import MemoryCache
from messaging.caching.nats import BucketStore
from messaging.caching.remote import RemoteCache
from messaging.caching.tiered import TieredCache
from messaging.storage import Storage
from tests.support.clusters import ELECTION_S, Cluster, connected, provisioned
from tests.support.freezing import freeze, thaw
from tests.support.outages import crash, outage
from tests.support.subscriptions import known_to_broker
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.unit.messaging.cache_contract import TTL_S, CacheContract, key, totals

PATIENT_S = 5.0
"""A busy machine may take its time; tests of a broker that is away take less."""
STREAM = "KV_cache"


def far(broker: Broker, **options) -> RemoteCache:
    return RemoteCache(BucketStore(broker), timeout_s=PATIENT_S, **options)


def settings(backend: CacheBackend = CacheBackend.NATS) -> CacheSettings:
    return CacheSettings(cache=backend, cache_timeout_s=PATIENT_S, cache_near_ttl_s=600.0)


@pytest.fixture
async def other_broker(broker: Broker, broker_settings: BrokerSettings) -> AsyncIterator[Broker]:
    """The connection of another process."""
    other = await Broker.connect(broker_settings, name="other", on_closed=lambda: None)
    yield other
    await other.close()


class TestNatsCache(CacheContract):
    @pytest.fixture
    async def cache(self, broker: Broker) -> RemoteCache:
        return far(broker)


class TestTieredCache(CacheContract):
    @pytest.fixture
    async def cache(self, broker: Broker) -> TieredCache:
        return TieredCache(MemoryCache(max_bytes=2**26, max_entries=1000), far(broker), near_ttl_s=TTL_S)


class TestBuiltCache(CacheContract):
    @pytest.fixture(params=[CacheBackend.MEMORY, CacheBackend.NATS])
    async def cache(self, broker: Broker, request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
        cache = build_cache(settings(request.param), broker)
        await cache.open()
        yield cache
        await cache.close()


class TestShared:
    async def test_what_one_process_sets_another_finds(self, broker: Broker, other_broker: Broker) -> None:
        await far(broker).set(key(), b"value", TTL_S)
        found = await far(other_broker).find(key())
        assert found is not None
        assert found.value == b"value"
        assert 0 < found.rest_s <= TTL_S

    async def test_a_life_ends_to_the_moment_although_the_broker_counts_seconds(self, broker: Broker) -> None:
        now = 1_000_000.0
        cache = far(broker, now=lambda: now)
        await cache.set(key(), b"value", 10.25)
        now += 10.2
        found = await cache.find(key())
        assert found is not None
        assert found.rest_s == pytest.approx(0.05, abs=0.002)
        now += 0.05
        assert await cache.get(key()) is None
        assert (await totals(cache)).expirations == 1

    async def test_the_broker_itself_forgets_what_has_expired(self, broker: Broker) -> None:
        await far(broker).set(key(), b"value", 0.5)

        async def is_empty() -> bool:
            return await Storage(broker).count(STREAM, ">") == 0

        await until(is_empty)

    async def test_the_largest_value_passes_with_the_longest_names(self, broker: Broker) -> None:
        longest = key(tenant="t" * 128)
        await far(broker).set(longest, b"x" * MAX_VALUE_BYTES, MAX_TTL_S)
        assert await far(broker).get(longest) == b"x" * MAX_VALUE_BYTES
        assert broker.is_connected

    async def test_what_another_release_wrote_is_a_miss(self, broker: Broker) -> None:
        k = key()
        subject = f"$KV.cache.{k.tenant}.{k.kind}.{k.digest}"
        await broker.publish_bytes(subject, b"\x07something else altogether", stream=STREAM)
        cache = far(broker)
        with capture_logs() as logs:
            assert [await cache.get(k) for _ in range(3)] == [None] * 3
        assert [entry["event"] for entry in logs] == ["cache refuses, questions go on without it"]
        assert (await totals(cache)).errors == 3
        await cache.set(k, b"value", TTL_S)
        assert await cache.get(k) == b"value"

    async def test_an_entry_under_another_tenants_name_is_not_believed(self, broker: Broker) -> None:
        """Whatever mixes up replies or copies entries, one tenant never reads what another's key holds."""
        mine, theirs = key(tenant="mine"), key(tenant="theirs")
        cache = far(broker)
        await cache.set(theirs, b"their secret", TTL_S)
        stored = await Storage(broker).last(STREAM, f"$KV.cache.theirs.{theirs.kind}.{theirs.digest}")
        assert stored is not None
        await broker.publish_bytes(f"$KV.cache.mine.{mine.kind}.{mine.digest}", stored.data, stream=STREAM)
        assert await cache.get(mine) is None
        assert await cache.get(theirs) == b"their secret"

    async def test_deleting_leaves_nothing_behind(self, broker: Broker) -> None:
        cache = far(broker)
        for name in range(5):
            await cache.set(key(name), b"value", TTL_S)
            await cache.delete(key(name))
        assert await Storage(broker).count(STREAM, ">") == 0


class TestFull:
    @pytest.fixture
    def table(self) -> Topology:
        others = tuple(bucket for bucket in topology.KEY_VALUES if bucket.name != topology.CACHE.name)
        return replace(brisk(), key_values=(*others, replace(topology.CACHE, max_bytes=64 * 1024)))

    async def test_a_full_bucket_forgets_the_oldest_and_refuses_nothing(self, broker: Broker) -> None:
        cache = far(broker)
        for name in range(40):
            await cache.set(key(name), b"x" * 4096, TTL_S)
        stats = await totals(cache)
        assert (stats.sets, stats.errors) == (40, 0)
        assert stats.bytes is not None
        assert stats.bytes <= 64 * 1024
        assert await cache.get(key(39)) == b"x" * 4096
        assert await cache.get(key(0)) is None


class TestAway:
    async def test_a_broker_that_is_gone_is_a_miss_and_said_once(self, broker: Broker, nats_server: NatsServer) -> None:
        cache = RemoteCache(BucketStore(broker), timeout_s=0.2)
        with capture_logs() as logs:
            async with outage(nats_server, broker):
                for _ in range(20):
                    assert await cache.get(key()) is None
                    await cache.set(key("new"), b"value", TTL_S)
                    await cache.delete(key("other"))

            async def is_back() -> bool:
                await cache.set(key(), b"value", TTL_S)
                return await cache.get(key()) == b"value"

            await until(is_back)
        said = [entry["event"] for entry in logs if entry["event"].startswith("cache")]
        assert said == ["cache is away, questions go on without it", "cache is back"]
        assert (await totals(cache)).errors >= 60

    async def test_a_broker_that_hangs_costs_one_time_out_not_one_each(
        self, broker: Broker, nats_server: NatsServer
    ) -> None:
        cache = RemoteCache(BucketStore(broker), timeout_s=0.1, monotonic=lambda: 0.0)  # the rest never ends
        pid = nats_server.pid
        assert pid is not None
        freeze(pid)
        try:
            async with asyncio.timeout(20):  # one after another they would take 100 s, without a time-out for ever
                for _ in range(1000):
                    assert await cache.get(key()) is None
        finally:
            thaw(pid)
        (level,) = cache.levels
        assert sum(counts.errors for _, counts in level.kinds()) == 1000

    async def test_a_cache_without_its_bucket_fails_no_question(self, broker: Broker) -> None:
        await broker.js.delete_stream(STREAM)
        cache = far(broker)
        await cache.set(key(), b"value", TTL_S)
        assert await cache.get(key()) is None
        assert (await totals(cache)).bytes is None

    async def test_clearing_what_is_away_is_an_error(self, broker: Broker, nats_server: NatsServer) -> None:
        cache = build_cache(settings(), broker)
        await cache.open()
        async with outage(nats_server, broker):
            with pytest.raises(TransientError):
                await cache.clear("tenant")
        await cache.close()

    async def test_an_outage_does_not_take_what_is_near(self, broker: Broker, nats_server: NatsServer) -> None:
        cache = build_cache(settings(), broker)
        await cache.open()
        await cache.set(key(), b"value", TTL_S)
        async with outage(nats_server, broker):
            assert await cache.get(key()) == b"value"
        await cache.close()


class TestSeveralProcesses:
    @pytest.fixture(params=[CacheBackend.MEMORY, CacheBackend.NATS])
    async def caches(
        self, broker: Broker, other_broker: Broker, request: pytest.FixtureRequest
    ) -> AsyncIterator[tuple[Cache, Cache]]:
        one, other = (build_cache(settings(request.param), each) for each in (broker, other_broker))
        for cache, its_broker in ((one, broker), (other, other_broker)):
            await cache.open()
            await known_to_broker(its_broker)
        yield one, other
        await one.close()
        await other.close()

    async def test_a_clear_reaches_the_memory_of_others(self, caches: tuple[Cache, Cache]) -> None:
        one, other = caches
        for cache in caches:
            await cache.set(key(tenant="cleared"), b"value", TTL_S)
            await cache.set(key(tenant="kept"), b"value", TTL_S)
        await one.clear("cleared")

        async def is_forgotten() -> bool:
            return await other.get(key(tenant="cleared")) is None

        await until(is_forgotten)
        assert await other.get(key(tenant="kept")) == b"value"

    async def test_clearing_everybody_reaches_them_too(self, caches: tuple[Cache, Cache]) -> None:
        one, other = caches
        await other.set(key(), b"value", TTL_S)
        await one.clear(None)

        async def is_forgotten() -> bool:
            return await other.get(key()) is None

        await until(is_forgotten)

    async def test_what_another_computes_meanwhile_is_not_kept(self, caches: tuple[Cache, Cache]) -> None:
        one, other = caches
        begun, release = asyncio.Event(), asyncio.Event()

        async def compute() -> bytes:
            begun.set()
            await release.wait()
            return b"from before the clear"

        computing = asyncio.create_task(SingleFlight(other).get_or_set(key(), compute, TTL_S))
        await begun.wait()
        clears = other.clears
        await one.clear("tenant")
        await until(lambda: other.clears > clears)
        release.set()
        assert await computing == b"from before the clear"
        assert await other.get(key()) is None

    async def test_ones_own_word_forgets_nothing_that_was_set_after_it(
        self, caches: tuple[Cache, Cache], broker: Broker
    ) -> None:
        one, other = caches
        await other.set(key("seen"), b"value", TTL_S)
        await one.clear(None)
        await one.set(key(), b"value", TTL_S)

        async def was_heard() -> bool:
            return await other.get(key("seen")) is None

        await until(was_heard)
        await known_to_broker(broker)
        assert (await one.stats())[0].entries == 1

    async def test_word_that_cannot_be_read_forgets_everything(
        self, caches: tuple[Cache, Cache], broker: Broker
    ) -> None:
        _, other = caches
        await other.set(key(), b"value", TTL_S)
        await broker.nc.publish(subjects.CACHE_CONTROL, b'{"schema_version": 99}')

        async def is_forgotten() -> bool:
            return (await other.stats())[0].entries == 0

        await until(is_forgotten)

    async def test_what_was_missed_during_an_outage_is_forgotten_after_it(
        self, caches: tuple[Cache, Cache], broker: Broker, other_broker: Broker, nats_server: NatsServer
    ) -> None:
        _, other = caches
        await other.set(key(), b"value", TTL_S)
        await crash(nats_server, broker, other_broker)

        async def is_forgotten() -> bool:
            return (await other.stats())[0].entries == 0

        await until(is_forgotten)

    async def test_a_closed_cache_listens_no_more(self, caches: tuple[Cache, Cache], broker: Broker) -> None:
        one, _ = caches
        await one.close()
        await one.set(key(), b"value", TTL_S)
        await broker.nc.publish(subjects.CACHE_CONTROL, b"")
        await known_to_broker(broker)
        assert (await one.stats())[0].entries == 1


async def test_in_a_cluster_the_loss_of_a_server_is_a_miss_at_most(tmp_path: Path, table: Topology) -> None:
    with Cluster(tmp_path) as cluster:
        async with connected(cluster, replicas=3) as broker:
            await provisioned(broker, table)
            await cluster.whole(broker, STREAM)
            cache = far(broker)
            await cache.set(key("old"), b"value", TTL_S)
            await cache.set(key("short"), b"value", 0.5)
            assert await cache.get(key("old")) == b"value"
            cluster.servers[await cluster.leader_of(broker, STREAM)].kill()

            async def goes_on() -> bool:
                await cache.set(key("new"), b"value", TTL_S)
                return await cache.get(key("new")) == b"value"

            await until(goes_on, timeout_s=ELECTION_S)
            assert await cache.get(key("old")) == b"value"
            assert await cache.get(key("short")) is None
            assert await cache.clear("tenant") >= 2
            assert await cache.get(key("old")) is None


async def test_a_copy_near_ends_with_its_original(broker: Broker) -> None:
    now = 1_000_000.0

    def clock() -> float:
        return now

    def near() -> MemoryCache:
        return MemoryCache(max_bytes=2**20, max_entries=10, monotonic=clock)

    writer, reader = (TieredCache(near(), far(broker, now=clock), near_ttl_s=30.0) for _ in range(2))
    await writer.set(key(), b"value", 40.0)
    now += 20.0
    assert await reader.get(key()) == b"value"
    await writer.delete(key())
    now += 19.0
    assert await reader.get(key()) == b"value"  # its own copy, which has a second to live
    now += 1.5
    assert await reader.get(key()) is None
