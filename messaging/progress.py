"""Whether a worker gets on with its work: slow is well, and nothing finished for longer than anything may take is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import nats.errors
import structlog

from contracts import topology
from contracts.health import PROGRESS_CHECK, BackendCheck, CheckStatus
from messaging.activity import Activity
from messaging.broker import Broker
from messaging.cancelling import heeding_cancellation

LOOK_S = 10.0
UNLIMITED_S = 3600.0
"""For handlers without a time limit: how long nothing may be heard of one."""

log = structlog.get_logger(__name__)


class Progress:
    """Judges one worker by what it finishes.

    It is stuck when a message has been worked on for longer than `limit_s` and nothing was finished, or got on, for as long;
    or when messages have waited for so long at its consumers while it had nothing in hand and was given none. Messages that are
    held, because something is away, are not worked on. A worker that is idle or paused is never stuck, and neither is one
    that is slow, as long as it finishes one message now and then.
    """

    def __init__(
        self,
        activity: Activity,
        *,
        limit_s: float,
        paused: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._activity = activity
        self._limit_s = limit_s
        self._paused = paused
        self._monotonic = monotonic
        self._arrivals = 0
        self._waiting = 0
        self._untaken_since: float | None = None

    def check(self) -> BackendCheck:
        """As it is told in the heartbeat."""
        reason = "" if self._paused() else self._hanging() or self._untaken()
        return BackendCheck(
            name=PROGRESS_CHECK, status=CheckStatus.FAILING if reason else CheckStatus.OK, detail=reason
        )

    def looked(self, waiting: int) -> None:
        """Take note of how many messages could have been had from the consumers just now."""
        activity = self._activity
        taken, self._arrivals = activity.arrivals > self._arrivals, activity.arrivals
        self._waiting = waiting
        if not waiting or taken or activity.in_flight or self._paused():
            self._untaken_since = None
        elif self._untaken_since is None:
            self._untaken_since = self._monotonic()

    def _hanging(self) -> str:
        worked_s, got_on_s = self._activity.oldest_worked_on_s or 0.0, self._activity.got_on_ago_s
        if worked_s <= self._limit_s or (got_on_s is not None and got_on_s <= self._limit_s):
            return ""
        return f"a message has been worked on for {worked_s:.0f} s, and nothing was finished for {self._limit_s:.0f} s"

    def _untaken(self) -> str:
        if self._untaken_since is None or self._monotonic() - self._untaken_since <= self._limit_s:
            return ""
        return f"{self._waiting} messages wait, and none was taken for {self._limit_s:.0f} s"


class Waiting:
    """Looks how much waits at the consumers of a worker."""

    def __init__(
        self,
        broker: Broker,
        consumers: Sequence[topology.Consumer],
        progress: Progress,
        *,
        interval_s: float = LOOK_S,
    ) -> None:
        self._broker = broker
        self._consumers = consumers
        self._progress = progress
        self._interval_s = interval_s

    async def run(self) -> None:
        """Look every `interval_s` until cancelled. What is not known counts as nothing that waits."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                waiting = await heeding_cancellation(self._look()) if self._broker.is_connected else 0
            except (nats.errors.Error, OSError) as error:
                log.debug("not known how much waits", reason=str(error))
                waiting = 0
            self._progress.looked(waiting)

    async def _look(self) -> int:
        waiting = 0
        for consumer in self._consumers:
            info = await self._broker.js.consumer_info(consumer.stream.name, consumer.durable)
            most = info.config.max_ack_pending or 0
            if most <= 0 or (info.num_ack_pending or 0) < most:  # else nobody is given any
                waiting += info.num_pending or 0
        return waiting
