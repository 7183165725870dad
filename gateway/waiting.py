"""Waits for what a request is to be answered with as long as its sender does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from gateway import problems, sse
from gateway.asking import Asked
from gateway.backend import Backend
from gateway.problems import Problem

Found = TypeVar("Found")


async def waited_for(backend: Backend, asked: Asked, request: Request, reading: Coroutine[Any, Any, Found]) -> Found:
    """What `reading` the answer comes to; the question is withdrawn when its asker leaves, unless that one may come again.

    Raises `ClientGoneError` then, and a 503 problem when the gateway stops.
    """
    stopping = problems.unavailable("The gateway is stopping; follow the query by its id.", query_id=asked.query_id)

    async def withdrawn() -> None:
        if not asked.may_be_joined:
            await backend.asking.cancel(asked.tenant, asked.query_id, asked.principal)

    return await awaited(backend, request, reading, stopping=stopping, on_gone=withdrawn)


async def awaited(
    backend: Backend,
    request: Request,
    reading: Coroutine[Any, Any, Found],
    *,
    stopping: Problem,
    on_gone: Callable[[], Awaitable[None]] | None = None,
) -> Found:
    """What `reading` comes to; it is cancelled when nobody waits for that any more.

    Raises `ClientGoneError` when the sender leaves, after `on_gone`, and `stopping` when the gateway stops.
    """
    following = asyncio.ensure_future(reading)
    gone = asyncio.ensure_future(sse.disconnected(request.receive))
    waited: set[asyncio.Future[Any]] = {following, gone, backend.drain.ending}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            return following.result()
        if gone.done():
            if on_gone is not None:
                await on_gone()
            raise problems.ClientGoneError
        raise stopping
    finally:
        following.cancel()
        gone.cancel()
