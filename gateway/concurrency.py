"""How many requests one gateway has in hand at once."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import problems
from gateway.identity import OPEN


class InHand:
    """Refuses (503) what would be one too many; streams count for as long as they are open, and probes do not count."""

    def __init__(self, app: ASGIApp, *, at_most: int) -> None:
        self._app = app
        self._at_most = at_most
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        if self._count >= self._at_most:
            refusal = problems.unavailable(
                f"This gateway has {self._at_most} requests in hand, as many as it may: nothing was accepted.",
                retry_after_s=1,
            )
            await refusal.response(scope["path"])(scope, receive, send)
            return
        self._count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1
