"""What a command does to the system through the broker, told in the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from cli.output import messages
from cli.person import whoever
from contracts.audit import AdminAct, AuditKind
from contracts.errors import WaggleError
from contracts.identifiers import new_id
from messaging.audit import AuditTrail
from messaging.broker import Broker


@asynccontextmanager
async def told(
    broker: Broker, kind: AuditKind, action: str, *, target: str = "", detail: str = ""
) -> AsyncIterator[None]:
    """Tell of what the body does, before and after. Where that cannot be told a line says so, and it is done all the same: whoever
    holds the broker's credentials may have to repair just that.
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
            await telling.enter_async_context(trail.telling(act))
        except WaggleError as error:
            messages().print(f"The audit will not have this: {error}.", style="yellow")
        yield
    await trail.close()
