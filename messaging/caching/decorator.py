"""Makes an asynchronous function remember what it returned."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

import structlog

from messaging.caching.keys import CacheKey
from messaging.caching.single_flight import SingleFlight

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Codec(Generic[T]):
    """How a value is written as bytes and read again. `decode` raises `ValueError` for what is no such value."""

    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


def cached(
    flight: SingleFlight, *, key: Callable[P, CacheKey], codec: Codec[T], ttl_s: float
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Keep what the function returns under `key`, which is called with the function's own arguments.

        encode = cached(flight, key=lambda text: …, codec=VECTORS, ttl_s=3600)(encoder.encode)

    The function is called once for all who ask at the same moment. What is read but cannot be decoded is computed again.
    """

    def wrap(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            name = key(*args, **kwargs)

            async def compute() -> bytes:
                return codec.encode(await function(*args, **kwargs))

            value = await flight.get_or_set(name, compute, ttl_s)
            try:
                return codec.decode(value)
            except ValueError as error:
                log.warning("cached entry cannot be read, computing it again", kind=name.kind.value, reason=str(error))
            await flight.cache.delete(name)
            return codec.decode(await flight.get_or_set(name, compute, ttl_s))

        return call

    return wrap
