"""Listens to the fleet: heartbeats, samples, life-cycle facts, advisories, and looks at the broker.

Plain subscriptions: they cost a fifth of a handler's time, and take ten thousand heartbeats a second on one core. What is
published while the connection is away is missed, which `Intake` knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from contracts import subjects, topology
from messaging.broker import Broker
from messaging.broker_facts import LOOK_INTERVAL_S, BrokerLooks
from messaging.errors import BrokerUnavailableError
from observability.intake import JUDGE_INTERVAL_S, Intake

SYNC_RETRY_S: Final = 1.0
MOST_PENDING: Final = 65_536
MOST_PENDING_BYTES: Final = 16 * 1024 * 1024
"""Of each subscription. What comes faster than it is taken, for longer than this lasts, is dropped and counted."""

log = structlog.get_logger(__name__)


class FleetListener:
    """Brings all that the fleet tells to an `Intake`, and drives it."""

    def __init__(self, broker: Broker, intake: Intake, *, table: topology.Topology | None = None) -> None:
        self._broker = broker
        self._intake = intake
        self._looks = BrokerLooks(broker, table)
        self._subscriptions: list[Subscription] = []
        self._taken = 0
        self._reconnects = 0
        self.subscribed = asyncio.Event()
        """Set once the broker knows what is listened to."""

    @property
    def dropped(self) -> int:
        """Messages that came faster than they were taken."""
        waiting = sum(each.pending_msgs for each in self._subscriptions)
        return max(0, sum(each.delivered for each in self._subscriptions) - waiting - self._taken)

    async def run(self) -> None:
        """Listen until cancelled. A broker that is away is waited for.

        Begins once the broker's time is known: samples of another time would be in the way of all that follow.
        """
        await self._synchronised()
        async with self._listening(), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._judge())
            tasks.create_task(self._look())

    async def _synchronised(self) -> None:
        while not self._broker.clock.synchronised:
            try:
                await self._broker.look()
            except BrokerUnavailableError as error:
                log.debug("the broker's time is not known yet", reason=str(error))
                await asyncio.sleep(SYNC_RETRY_S)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        nc, intake = self._broker.nc, self._intake
        heard: list[tuple[str, Callable[[Msg], None]]] = [
            (f"{subjects.HEALTH}.*.*", lambda told: intake.heartbeat(told.subject, told.data)),
            (f"{subjects.METRICS}.*.*", lambda told: intake.sample(told.subject, told.data)),
            (f"{subjects.EVENTS}.>", lambda told: intake.event(told.subject, told.headers or {}, told.data)),
            *(
                (subject, lambda told: intake.advisory(told.subject, told.data))
                for subject in topology.ADVISORIES.subjects
            ),
        ]
        try:
            for subject, take in heard:
                self._subscriptions.append(
                    await nc.subscribe(
                        subject,
                        cb=self._taking(take),
                        pending_msgs_limit=MOST_PENDING,
                        pending_bytes_limit=MOST_PENDING_BYTES,
                    )
                )
            await nc.flush()
            self.subscribed.set()
            yield
        finally:
            if not nc.is_closed:
                for subscription in self._subscriptions:
                    await subscription.unsubscribe()

    def _taking(self, take: Callable[[Msg], None]) -> Callable[[Msg], Coroutine[None, None, None]]:
        async def taken(message: Msg) -> None:
            self._taken += 1
            take(message)

        return taken

    async def _judge(self) -> None:
        while True:
            self._intake.tick(listening=self._was_connected())
            await asyncio.sleep(JUDGE_INTERVAL_S)

    def _was_connected(self) -> bool:
        """Whether there was a connection all the time since the last time."""
        before, self._reconnects = self._reconnects, int(self._broker.nc.stats["reconnects"])
        return self._broker.is_connected and self._reconnects == before

    async def _look(self) -> None:
        while True:
            self._intake.broker(await self._looks.look())
            await asyncio.sleep(LOOK_INTERVAL_S)
