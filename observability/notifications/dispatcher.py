"""Runs a pipeline: turns as time goes by, a task for each channel, state and history kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import structlog

from contracts.alerts import AlertEvent
from contracts.errors import WaggleError
from observability.notifications.channels.base import Notifier
from observability.notifications.configuration import NotificationConfig
from observability.notifications.courier import Courier
from observability.notifications.dependents import Graph
from observability.notifications.errors import FencedError
from observability.notifications.history import History, Scribe
from observability.notifications.metrics import NotificationMetrics
from observability.notifications.outbox import Outbox
from observability.notifications.pacing import Pacing
from observability.notifications.pipeline import SETTLE, Pipeline
from observability.notifications.records import Records
from observability.notifications.silencing import Silences
from observability.notifications.state import GroupRecord
from observability.records import RecordStore

RETRY_S = 1.0

log = structlog.get_logger(__name__)


class Dispatcher:
    """Tells people, for as long as its observer leads.

    Construct it with a fencing token that is larger than those of all who led before, then `await start()`, `observe` every alert there is, and `run()` under
    the lease. Alerts may be observed at any time. A new configuration is a new dispatcher on the same store.
    """

    def __init__(
        self,
        config: NotificationConfig,
        notifiers: Mapping[str, Notifier],
        *,
        silences: Silences,
        store: RecordStore[GroupRecord],
        token: int,
        history: History,
        clock: Callable[[], datetime],
        settle: timedelta = SETTLE,
        metrics: NotificationMetrics | None = None,
        jitter: Callable[[], float] = random.random,
        graph: Graph | None = None,
    ) -> None:
        """`graph`: see `Pipeline`."""
        self._clock = clock
        self._silences = silences
        self._pacing = Pacing(clock)
        self._to_keep = asyncio.Event()
        self._records = Records(store, token=token)
        self._scribe = Scribe(history)
        self.pipeline = Pipeline(config, silences=silences, now=clock(), settle=settle, graph=graph)
        metrics = metrics or NotificationMetrics()
        self._couriers = {
            name: Courier(
                name,
                notifiers[name],
                Outbox(jitter=jitter),
                pipeline=self.pipeline,
                clock=clock,
                save=self._save,
                note=self._scribe.note,
                metrics=metrics,
                timeout_s=model.timeout.total_seconds(),
            )
            for name, model in config.channels.items()
        }
        metrics.watch(waiting=self._waiting, groups=lambda: len(self.pipeline.groups))

    async def start(self) -> None:
        """Take over what is stored. Raises `FencedError` when a newer observer leads, `TransientError` when the store is away."""
        self.pipeline.restore(await self._records.load(), self._clock())
        for key in self.pipeline.take_changed():
            await self._records.save(self.pipeline, key)

    def observe(self, alerts: Iterable[AlertEvent]) -> None:
        """Take note of alerts that fire, or are over."""
        now = self._clock()
        for alert in alerts:
            self.pipeline.observe(alert, now)
        self._pacing.hurry()

    async def run(self) -> None:
        """Until cancelled. Raises `FencedError` when another observer leads; nothing more is told then."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for courier in self._couriers.values():
                    tasks.create_task(courier.run(), name=f"channel {courier.name}")
                tasks.create_task(self._scribe.run(), name="history of notifications")
                tasks.create_task(self._turn(), name="turns of groups")
                tasks.create_task(self._keep(), name="state of groups")
        except BaseExceptionGroup as failures:  # Python 3.11.2 makes a group of what is raised in an `except*`
            fenced, others = failures.split(FencedError)
            if fenced is None or others is not None:
                raise
            raise fenced.exceptions[0] from None

    async def _turn(self) -> None:
        while True:
            self._silences.forget_ended(self._clock())
            for due in self.pipeline.turns(self._clock()):
                self._couriers[due.channel].offer(due)
            self._to_keep.set()
            await self._pacing.until(self.pipeline.next_turn_at())

    async def _keep(self) -> None:
        """Store what has changed; in a task of its own, so that a store that is away holds up no turn."""
        while True:
            await self._to_keep.wait()
            self._to_keep.clear()
            changed = self.pipeline.take_changed()
            for place, key in enumerate(changed):
                if not await self._save(key):
                    for left in changed[place:]:
                        self.pipeline.touch(left)
                    await asyncio.sleep(RETRY_S)
                    self._to_keep.set()
                    break

    async def _save(self, group_key: str) -> bool:
        """Store a group's state. Nobody waits for a store that is away: what cannot be stored is in doubt, and told again."""
        try:
            await self._records.save(self.pipeline, group_key)
        except FencedError:
            raise
        except (WaggleError, TimeoutError) as error:
            log.warning("state of notifications not stored", group=group_key, reason=str(error) or "no answer in time")
            self.pipeline.touch(group_key)
            return False
        return True

    def _waiting(self) -> dict[str, int]:
        return {name: len(courier.outbox) for name, courier in self._couriers.items()}
