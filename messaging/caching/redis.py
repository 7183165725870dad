"""Entries in Redis, for those who have one (extra `redis`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import structlog
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from contracts.cache_settings import CacheSettings
from contracts.errors import PermanentError
from messaging.caching.errors import CacheAwayError, CacheRefusedError
from messaging.caching.keys import CacheKey
from messaging.caching.statistics import Size

PREFIX = "waggle:cache:"
PAGE = 500
"""How many keys are looked at in one step of clearing or counting: other clients get in between."""
REPLY_TIMEOUT_S = 5.0
"""For one command of those that take their time; questions have a shorter one around them."""
CONNECTIONS = 32
"""Most connections of a process. Who finds none free waits for one."""

_CREDENTIALS = (exceptions.AuthenticationError, exceptions.AuthorizationError)

log = structlog.get_logger(__name__)


class RedisStore:
    """Keys are `waggle:cache:<tenant>:<kind>:<digest>`; nothing else in the database is touched.

    A command that is cut short takes its connection with it, so that no late reply is taken for that of another command.
    """

    name = "redis"

    def __init__(self, settings: CacheSettings) -> None:
        self._url = settings.redis_url
        password = settings.redis_password
        pool = BlockingConnectionPool.from_url(
            settings.redis_url,
            username=settings.redis_user,
            password=password.get_secret_value() if password else None,
            socket_timeout=REPLY_TIMEOUT_S,
            socket_connect_timeout=REPLY_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # a connection that the server closed while it was idle
            max_connections=CONNECTIONS,
            timeout=REPLY_TIMEOUT_S,
            protocol=2,  # the newer one brings messages that nobody asked for
        )
        self._redis: Redis = Redis.from_pool(pool)

    async def open(self) -> None:
        """Raises `PermanentError` for a wrong or missing password. A Redis that is away is told in the log."""
        try:
            with _translated():
                async with asyncio.timeout(REPLY_TIMEOUT_S):
                    await self._redis.ping()
        except CacheAwayError as error:
            log.warning("waiting for the cache", url=self._url, reason=str(error), advice="check WAGGLE_REDIS_URL")
        except CacheRefusedError as error:
            if not isinstance(error.__cause__, _CREDENTIALS):
                raise PermanentError(f"Redis at {self._url} cannot be used: {error}; check WAGGLE_REDIS_URL") from error
            raise PermanentError(
                f"Redis at {self._url} refuses the credentials ({error}): check WAGGLE_REDIS_PASSWORD and WAGGLE_REDIS_USER"
            ) from error

    async def read(self, key: CacheKey) -> bytes | None:
        with _translated():
            data = await self._redis.get(_name(key))
        assert data is None or isinstance(data, bytes)  # replies are not decoded
        return data

    async def write(self, key: CacheKey, data: bytes, ttl_s: float) -> None:
        with _translated():
            await self._redis.set(_name(key), data, px=max(1, round(ttl_s * 1000)))

    async def remove(self, key: CacheKey) -> None:
        with _translated():
            await self._redis.unlink(_name(key))

    async def clear(self, tenant: str | None) -> int:
        removed = 0
        with _translated():
            async for keys in self._pages(tenant):
                removed += await self._redis.unlink(*keys)
        return removed

    async def size(self) -> Size:
        """Looks at every key: for people and reports, not for questions."""
        entries = size_bytes = 0
        with _translated():
            async for keys in self._pages(None):
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.execute_command("STRLEN", key)
                    lengths: list[int] = await pipeline.execute()
                entries += len([length for length in lengths if length])
                size_bytes += sum(lengths)
        return Size(entries=entries, bytes=size_bytes)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _pages(self, tenant: str | None) -> AsyncIterator[list[bytes | str]]:
        """Keys in pages; one may come twice, and none that is there all the time is left out."""
        pattern = f"{PREFIX}*" if tenant is None else f"{PREFIX}{tenant}:*"
        cursor = 0
        while True:
            cursor, keys = await self._redis.scan(cursor, match=pattern, count=PAGE)
            if keys:
                yield keys
            if cursor == 0:
                return


def _name(key: CacheKey) -> str:
    return f"{PREFIX}{key.tenant}:{key.kind}:{key.digest}"


@contextmanager
def _translated() -> Iterator[None]:
    """The library's errors as ours. Wrong credentials are an error of connection to it; to us they are a refusal."""
    try:
        yield
    except _CREDENTIALS as error:
        raise CacheRefusedError(str(error)) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise CacheAwayError(f"Redis does not answer: {str(error) or type(error).__name__}") from error
    except exceptions.RedisError as error:
        raise CacheRefusedError(f"Redis refuses: {error}") from error
