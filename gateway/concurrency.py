"""How many requests one gateway has in hand at once, and how many of them are of one tenant."""

from __future__ import annotations

from collections import Counter
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import problems
from gateway.identity import OPEN, identity_of

TIMES_FREE: Final = 4
"""A tenant may have in hand so many times what is free (dynamic thresholds after Choudhury and Hahne, 1998)."""


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


class Shares:
    """Refuses (429) a tenant what would leave others too little. One that is alone comes to four fifths of all; who has nothing in
    hand is let in while anything is free; where many have much, each comes to as much.
    """

    def __init__(self, app: ASGIApp, *, at_most: int) -> None:
        self._app = app
        self._at_most = at_most
        self._of_tenant: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        tenant = identity_of(scope).tenant
        if self._of_tenant[tenant] >= TIMES_FREE * (self._at_most - self._of_tenant.total()):
            refusal = problems.busy(
                f"This tenant has {self._of_tenant[tenant]} requests in hand at this gateway, and the rest is for others: nothing was "
                "accepted. Wait for some to be done."
            )
            await refusal.response(scope["path"])(scope, receive, send)
            return
        self._of_tenant[tenant] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._of_tenant[tenant] -= 1
            if not self._of_tenant[tenant]:
                del self._of_tenant[tenant]
