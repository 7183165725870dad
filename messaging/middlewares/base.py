"""What a middleware is, and how a list of them becomes one function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from messaging.delivery import Incoming

Next = Callable[[Incoming[Any]], Awaitable[None]]
"""The rest of the way of a delivery; raises what its handler raised."""


class Middleware(Protocol):
    """One concern that every delivery has. It calls `call_next` once, or not at all to end the way here."""

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None: ...


def chain(middlewares: Sequence[Middleware], handler: Next) -> Next:
    """The function that sends a delivery through `middlewares`, the first one outermost, to `handler`."""
    call = handler
    for middleware in reversed(middlewares):
        call = partial(middleware, call_next=call)
    return call
