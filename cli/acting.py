"""What a command does to the system through the broker, told in the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from cli.broker import connected
from cli.exits import CommandError
from cli.output import messages
from cli.person import whoever
from contracts.audit import AdminAct, AuditKind
from contracts.errors import WaggleError
from contracts.identifiers import new_id
from messaging.audit import AuditTrail
from messaging.broker import Broker

BESIDE_S: Final = 5.0
"""How long what is done without the broker waits for it, to tell of it."""


@asynccontextmanager
async def told(
    broker: Broker,
    kind: AuditKind,
    action: str,
    *,
    target: str = "",
    detail: str = "",
    refusals: tuple[type[Exception], ...] = (),
) -> AsyncIterator[None]:
    """Tell of what the body does, before and after. Where that cannot be told a line says so, and it is done all the same: whoever
    holds the broker's credentials may have to repair just that. With one of `refusals` nothing was changed.
    """
    act = AdminAct(
        id=new_id(),
        kind=kind,
        action=action,
        target=target[:1024],
        detail=detail[:1024],
        principal=f"broker:{whoever()}"[:256],
        created_at=broker.clock.now(),
    )
    trail = AuditTrail(broker)
    async with AsyncExitStack() as telling:
        try:
            await telling.enter_async_context(trail.telling(act, refusals=refusals))
        except WaggleError as error:
            _say_missing(error)
        yield
    await trail.close()


@asynccontextmanager
async def reachable(name: str) -> AsyncIterator[Broker | None]:
    """The broker, for telling of what is done without it. None where it cannot be had, which a line says."""
    async with AsyncExitStack() as connection:
        broker = None
        try:
            broker = await connection.enter_async_context(connected(name, patience_s=BESIDE_S))
        except (CommandError, WaggleError) as error:
            _say_missing(error)
        yield broker


def _say_missing(error: Exception) -> None:
    messages().print(f"The audit will not have this: {error}.", style="yellow")
