"""Pull requests to a consumer, one at a time, and a clean way to stop asking.

FastStream's loop asks its subscription for messages over and over. This subscription adds what the loop lacks: it never
answers faster than sensible while the broker is away or the consumer is gone (the loop would starve the process), and it
can be closed so that no message is stranded between the broker and the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from messaging.activity import Activity

PULL_S = 1.0
"""How long one pull request waits at the broker; also the longest pause after a broker restart."""
GRACE_S = 0.5
"""The broker says that a request has ended; only a lost connection makes us wait this much longer."""
PAUSE_S = 0.25
"""Between requests that are refused, not merely unanswered (the consumer is gone, the broker is away)."""

_STATUS = "Status"
_ENDED_QUIETLY = frozenset({"404", "408"})
_HEARTBEAT = "100"

log = structlog.get_logger(__name__)


class PullSubscription:
    """Asks one durable consumer for messages, never for more than `batch` and never twice at once.

    Each message is counted in `activity` from its arrival on. A batch is gathered: one message is waited for, the
    others for `gather_s` after it.
    """

    def __init__(
        self,
        nc: Client,
        activity: Activity,
        *,
        stream: str,
        durable: str,
        batch: int = 1,
        gather_s: float = 0.0,
    ) -> None:
        self._nc = nc
        self._activity = activity
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._name = f"{stream}/{durable}"
        self._batch = batch
        self._gather_s = gather_s
        self._inbox = nc.new_inbox()
        self._number = 0
        self._status: str | None = None
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._closed = False
        self._paused = False
        self._sub: Subscription | None = None

    async def open(self) -> None:
        self._sub = await self._nc.subscribe(f"{self._inbox}.*", cb=self._receive)

    async def fetch(self, batch: int = 1, timeout: float | None = None) -> list[Msg]:
        """One to `batch` messages; nats-py's `TimeoutError` when there are none, as FastStream's loop expects.

        The loop asks again for what a short batch lacks; that is refused, so that it hands over what it has. After
        `close()` this returns what had arrived by then, and the next call waits to be cancelled.
        """
        if batch < self._batch:
            raise nats.errors.TimeoutError
        if not self._closed and not self._arrived:
            await (self._rest() if self._paused else self._first())
        if self._arrived and self._batch > 1 and not self._closed and not self._paused:
            await self._ask(self._batch - 1, self._gather_s)
        if self._arrived:
            return [self._arrived.popleft() for _ in range(len(self._arrived))]
        if self._closed:
            await asyncio.Event().wait()
        raise nats.errors.TimeoutError

    async def pause(self) -> None:
        """Ask for nothing until `resume()`; return when the open request has been answered or has ended.

        Whatever arrives all the same is handed over as usual.
        """
        self._paused = True
        await self._request_ended()

    def resume(self) -> None:
        self._paused = False
        self._wake.set()

    async def close(self) -> None:
        """Ask for nothing more, and return when the open request has been answered or has ended (after `PULL_S`).

        A request cannot be withdrawn: the broker may be about to answer it, and a message sent to an inbox that is gone
        comes again only after its ack wait.
        """
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        if self._sub is None or not self._nc.is_connected:
            return
        await self._request_ended()
        await self._sub.unsubscribe()

    async def unsubscribe(self) -> None:
        """FastStream's name for `close`."""
        await self.close()

    async def _request_ended(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._at_rest.wait(), max(PULL_S, self._gather_s) + GRACE_S)

    async def _rest(self) -> None:
        """Until there is something to hand over (an answer that was late), or to ask for again."""
        while self._paused and not self._arrived and not self._closed:
            self._wake.clear()
            await self._wake.wait()

    async def _first(self) -> None:
        if self._nc.is_connected:
            await self._ask(1, PULL_S)
            refused = self._status is not None and self._status not in _ENDED_QUIETLY
            if not refused or self._arrived or self._closed:
                return
            log.warning("pull request refused", consumer=self._name, status=self._status)
        await asyncio.sleep(PAUSE_S)

    async def _ask(self, batch: int, expires_s: float) -> None:
        """Send a pull request and wait until it is satisfied or has ended, so that none is left open."""
        self._number += 1
        self._status = None
        self._at_rest.clear()
        wanted = len(self._arrived) + batch
        body = json.dumps({"batch": batch, "expires": max(1_000_000, int(expires_s * 1e9))})
        try:
            await self._nc.publish(self._subject, body.encode(), reply=f"{self._inbox}.{self._number}")
            async with asyncio.timeout(expires_s + GRACE_S):
                while not self._answered(wanted):
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._at_rest.set()

    def _answered(self, wanted: int) -> bool:
        return len(self._arrived) >= wanted or self._status is not None

    async def _receive(self, message: Msg) -> None:
        # The broker's own words come on our inbox; a message keeps its subject, whatever its headers claim.
        ours = message.subject.startswith(self._inbox)
        status = (message.headers or {}).get(_STATUS) if ours and not message.data else None
        if status is None:
            self._activity.begin(message.reply)
            self._arrived.append(message)
        elif status != _HEARTBEAT and message.subject == f"{self._inbox}.{self._number}":
            self._status = status
        self._wake.set()
