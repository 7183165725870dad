"""The cache in a real Redis that asks for a password."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from contracts.cache_settings import CacheBackend, CacheSettings
from contracts.errors import PermanentError, TransientError
from messaging.broker import Broker
from messaging.caching import build_cache
from messaging.caching.base import Cache
from messaging.caching.memory import MemoryCache
from messaging.caching.redis import CONNECTIONS, PAGE, RedisStore
from messaging.caching.remote import RemoteCache
from messaging.caching.tiered import TieredCache
from tests.support import redis_server
from tests.support.redis_server import RedisServer, require_redis
from tests.support.waiting import until
from tests.unit.messaging.cache_contract import TTL_S, CacheContract, key, totals

PATIENT_S = 5.0
"""A busy machine may take its time; tests of a Redis that is away take less."""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), require_redis()) as server:
        yield server


@pytest.fixture
async def server(shared_server: RedisServer) -> RedisServer:
    """One for all tests that do it no harm; empty."""
    async with client(shared_server) as redis:
        await redis.flushall()
    return shared_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Of this test alone; it may be killed at will."""
    with RedisServer(tmp_path / "redis", require_redis()) as server:
        yield server


def client(server: RedisServer) -> Redis:
    return Redis.from_url(server.url, password=server.password)


def settings(server: RedisServer, *, password: str | None = None, user: str | None = None) -> CacheSettings:
    return CacheSettings(
        cache=CacheBackend.REDIS,
        redis_url=server.url,
        redis_password=SecretStr(password or server.password),
        redis_user=user,
        cache_timeout_s=PATIENT_S,
    )


def far(server: RedisServer, *, timeout_s: float = PATIENT_S, **options) -> RemoteCache:
    return RemoteCache(RedisStore(settings(server)), timeout_s=timeout_s, **options)


@pytest.fixture
async def cache(server: RedisServer) -> AsyncIterator[RemoteCache]:
    cache = far(server)
    await cache.open()
    yield cache
    await cache.close()


class TestRedisCache(CacheContract):
    """All of the contract."""


class TestTieredCache(CacheContract):
    @pytest.fixture
    async def cache(self, cache: RemoteCache) -> TieredCache:
        return TieredCache(MemoryCache(max_bytes=2**26, max_entries=1000), cache, near_ttl_s=TTL_S)


class TestAccess:
    @pytest.mark.parametrize("password", ["wrong", "x" * 100])
    async def test_a_wrong_password_is_said_at_start(self, server: RedisServer, password: str) -> None:
        store = RedisStore(settings(server, password=password))
        with pytest.raises(PermanentError, match="WAGGLE_REDIS_PASSWORD") as refused:
            await store.open()
        assert password not in str(refused.value)
        await store.close()

    async def test_a_missing_password_is_said_too(self, server: RedisServer) -> None:
        store = RedisStore(CacheSettings(cache=CacheBackend.REDIS, redis_url=server.url))
        with pytest.raises(PermanentError, match="WAGGLE_REDIS_PASSWORD"):
            await store.open()
        await store.close()

    async def test_a_user_may_be_restricted_to_what_is_needed(self, server: RedisServer) -> None:
        commands = ["+ping", "+get", "+set", "+unlink", "+scan", "+strlen"]
        async with client(server) as redis:
            await redis.acl_setuser(
                "waggle", enabled=True, reset=True, passwords=["+honey"], keys=["waggle:cache:*"], commands=commands
            )
        cache = RemoteCache(RedisStore(settings(server, user="waggle", password="honey")), timeout_s=PATIENT_S)
        await cache.open()
        await cache.set(key(), b"value", TTL_S)
        assert await cache.get(key()) == b"value"
        assert (await totals(cache)).entries == 1
        assert await cache.clear("tenant") == 1
        await cache.close()

    async def test_a_user_without_rights_fails_no_question(self, server: RedisServer) -> None:
        async with client(server) as redis:
            await redis.acl_setuser(
                "reader", enabled=True, reset=True, passwords=["+honey"], commands=["+ping", "+get"]
            )
        cache = RemoteCache(RedisStore(settings(server, user="reader", password="honey")), timeout_s=PATIENT_S)
        await cache.open()
        with capture_logs() as logs:
            for _ in range(3):
                await cache.set(key(), b"value", TTL_S)
                assert await cache.get(key()) is None
        assert {entry["call"] for entry in logs} == {"get", "set"}
        assert len(logs) == 2
        with pytest.raises(TransientError):
            await cache.clear(None)
        await cache.close()

    async def test_a_database_that_is_not_there_is_said_at_start(self, server: RedisServer) -> None:
        wrong = settings(server).model_copy(update={"redis_url": server.url.removesuffix("/0") + "/99"})
        store = RedisStore(wrong)
        with pytest.raises(PermanentError, match="WAGGLE_REDIS_URL"):
            await store.open()
        await store.close()


class TestShared:
    async def test_what_one_process_sets_another_finds(self, cache: RemoteCache, server: RedisServer) -> None:
        await cache.set(key(), b"value", TTL_S)
        other = far(server)
        found = await other.find(key())
        assert found is not None
        assert found.value == b"value"
        assert 0 < found.rest_s <= TTL_S
        await other.close()

    async def test_redis_itself_forgets_what_has_expired(self, cache: RemoteCache, server: RedisServer) -> None:
        await cache.set(key(), b"value", 0.2)
        async with client(server) as redis:

            async def is_empty() -> bool:
                return bool(await redis.dbsize() == 0)

            await until(is_empty)

    async def test_clearing_touches_nothing_of_others(self, cache: RemoteCache, server: RedisServer) -> None:
        await cache.set(key(), b"value", TTL_S)
        async with client(server) as redis:
            for name in ("waggle:cache", "waggle", "other:waggle:cache:tenant:x", "tenant"):
                await redis.set(name, b"theirs")
            assert await cache.clear("tenant") == 1
            assert await cache.clear(None) == 0
            assert await redis.dbsize() == 4

    async def test_clearing_goes_on_over_many_pages(self, cache: RemoteCache, server: RedisServer) -> None:
        count = 3 * PAGE + 7
        for start in range(0, count, 100):
            names = range(start, min(start + 100, count))
            await asyncio.gather(*(cache.set(key(name), b"value", TTL_S) for name in names))
        await cache.set(key(tenant="other"), b"value", TTL_S)
        assert (await totals(cache)).entries == count + 1
        assert await cache.clear("tenant") == count
        assert (await totals(cache)).entries == 1

    async def test_whoever_is_cut_short_leaves_no_reply_to_others(self, cache: RemoteCache) -> None:
        """A reply that comes after its reader has gone must never be taken for that of the next command."""
        for name in range(20):
            await cache.set(key(name), str(name).encode(), TTL_S)
        chance = random.Random(7)

        async def read(name: int) -> None:
            limit = chance.choice([None, 0.0, 0.0002, 0.0005, 0.001])
            try:
                async with asyncio.timeout(limit):
                    value = await cache.get(key(name))
            except TimeoutError:
                return
            assert value in (str(name).encode(), None)

        for _ in range(50):
            await asyncio.gather(*(read(chance.randrange(20)) for _ in range(20)))

        async def all_are_found() -> bool:
            return [await cache.get(key(name)) for name in range(20)] == [str(name).encode() for name in range(20)]

        await until(all_are_found)
        assert (await totals(cache)).errors == 0

    async def test_more_tasks_than_connections_take_turns(self, cache: RemoteCache) -> None:
        await cache.set(key(), b"value", TTL_S)
        found = await asyncio.gather(*(cache.get(key()) for _ in range(4 * CONNECTIONS)))
        assert found == [b"value"] * (4 * CONNECTIONS)


class TestAway:
    async def test_a_redis_that_is_gone_is_a_miss_and_said_once(self, own_server: RedisServer) -> None:
        cache = far(own_server, timeout_s=0.5)
        await cache.open()
        with capture_logs() as logs:
            own_server.kill()
            for _ in range(20):
                assert await cache.get(key()) is None
                await cache.set(key(), b"value", TTL_S)
                await cache.delete(key())
            with pytest.raises(TransientError):
                await cache.clear(None)
            own_server.start()

            async def is_back() -> bool:
                await cache.set(key(), b"value", TTL_S)
                return await cache.get(key()) == b"value"

            await until(is_back)
        said = [entry["event"] for entry in logs if entry["event"].startswith("cache")]
        assert said == ["cache is away, questions go on without it", "cache is back"]
        assert (await totals(cache)).errors >= 60
        await cache.close()

    async def test_a_redis_that_hangs_costs_one_time_out_not_one_each(self, own_server: RedisServer) -> None:
        cache = far(own_server, timeout_s=0.1, monotonic=lambda: 0.0)  # the rest never ends
        await cache.open()
        own_server.freeze()
        try:
            async with asyncio.timeout(20):  # one after another they would take 100 s
                for _ in range(1000):
                    assert await cache.get(key()) is None
        finally:
            own_server.thaw()
        await cache.close()

    async def test_a_restart_between_two_questions_is_not_noticed(self, own_server: RedisServer) -> None:
        cache = far(own_server)
        await cache.open()
        own_server.kill()
        own_server.start()
        await cache.set(key(), b"value", TTL_S)
        assert await cache.get(key()) == b"value"
        assert (await totals(cache)).errors == 0
        await cache.close()

    async def test_one_that_is_away_at_start_is_waited_for(self, own_server: RedisServer) -> None:
        own_server.kill()
        cache = far(own_server)
        with capture_logs() as logs:
            await cache.open()
        assert logs[0]["advice"] == "check WAGGLE_REDIS_URL"
        own_server.start()
        await cache.set(key(), b"value", TTL_S)
        assert await cache.get(key()) == b"value"
        await cache.close()

    async def test_something_else_that_listens_there_fails_no_question(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            server = await asyncio.start_server(_mumble, sock=listener)
            wrong = CacheSettings(redis_url=f"redis://127.0.0.1:{port}/0")
            cache = RemoteCache(RedisStore(wrong), timeout_s=PATIENT_S)
            await cache.set(key(), b"value", TTL_S)
            assert await cache.get(key()) is None
            await cache.close()
            server.close()

    async def test_a_full_redis_fails_no_question(self, tmp_path: Path) -> None:
        options = ("maxmemory 3mb", "maxmemory-policy noeviction")
        with RedisServer(tmp_path / "full", require_redis(), options=options) as server:
            cache = far(server)
            with capture_logs() as logs:
                for name in range(40):
                    await cache.set(key(name), b"x" * 100_000, TTL_S)
                    await cache.get(key(0))
            stats = await totals(cache)
            assert stats.hits == 40  # what it holds is still found
            assert stats.errors > 0
            assert len([entry for entry in logs if "maxmemory" in entry["reason"]]) == 1
            await cache.close()


class TestBuilt:
    @pytest.fixture
    async def built(self, broker: Broker, server: RedisServer) -> AsyncIterator[Cache]:
        cache = build_cache(settings(server), broker)
        await cache.open()
        yield cache
        await cache.close()

    async def test_it_is_behind_a_memory(self, built: Cache, server: RedisServer) -> None:
        await built.set(key(), b"value", TTL_S)
        async with client(server) as redis:
            await redis.flushall()
        assert await built.get(key()) == b"value"
        assert [level.name for level in built.levels] == ["memory", "redis"]

    async def test_a_wrong_password_keeps_the_process_from_starting(self, broker: Broker, server: RedisServer) -> None:
        with pytest.raises(PermanentError, match="WAGGLE_REDIS_PASSWORD"):
            await build_cache(settings(server, password="wrong"), broker).open()


class TestWithoutRedis:
    @pytest.fixture(autouse=True)
    def no_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(redis_server, "find_redis", lambda: None)

    def test_tests_are_skipped_with_the_command_that_helps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WAGGLE_REQUIRE_ENGINES", raising=False)
        with pytest.raises(pytest.skip.Exception, match="apt-get install redis-server"):
            require_redis()

    def test_where_engines_are_required_they_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAGGLE_REQUIRE_ENGINES", "1")
        with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"):
            require_redis()


async def _mumble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()
