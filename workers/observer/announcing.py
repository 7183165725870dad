"""Tells people of alerts while the observer leads, by the file of routes and channels as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog
from opentelemetry.metrics import Meter, Observation

from contracts.alerts import AlertEvent
from contracts.errors import TransientError, WaggleError
from contracts.settings import ObserverSettings
from messaging.broker import Broker
from messaging.notifications import BucketRecords, StreamHistory
from observability.dependencies import DependencyGraph
from observability.notifications import (
    Dispatcher,
    Inhibition,
    NotificationConfig,
    NotificationMetrics,
    Notifier,
    Silences,
    build_notifier,
    load_config,
)
from observability.notifications.configuration import InhibitRule
from workers.observer.rhythm import Rhythm

RETRY_S = 1.0

log = structlog.get_logger(__name__)

Everything = Callable[[], list[AlertEvent]]
"""All that fires, and what ended a short while ago."""
Signature = tuple[int, int, int] | None
"""What tells that a file may have changed; None: it is not there."""


class Announcer:
    """A dispatcher for each configuration: a changed file ends one and begins the next on the same stored groups. A file that
    cannot be used is refused whole, and the one before stays in force; `problems` say why.
    """

    def __init__(
        self,
        broker: Broker,
        settings: ObserverSettings,
        *,
        silences: Silences,
        meter: Meter,
        rhythm: Rhythm,
        graph: Callable[[], DependencyGraph],
    ) -> None:
        """`graph`: who needs whom at the moment."""
        self.problems: tuple[str, ...] = ()
        self.silences_known = asyncio.Event()
        self._broker = broker
        self._file: Path | None = settings.notify_config
        self._networks = settings.allowed_networks
        self._silences = silences
        self._metrics = NotificationMetrics(meter)
        self._rhythm = rhythm
        self._graph = graph
        self._inhibit_rules: tuple[InhibitRule, ...] = ()
        self._dispatcher: Dispatcher | None = None
        self._signature: Signature | None = None
        self._looked = False
        meter.create_observable_gauge(
            "waggle.notification.reload.successful",
            [lambda _: [Observation(int(not self.problems))] if self._looked else []],
            description="Whether the file of routes and channels is in force as it is now.",
        )

    def inhibition(self) -> Inhibition:
        """One by which people are told, that has observed nothing yet."""
        return Inhibition(self._inhibit_rules, graph=self._graph)

    def observe(self, events: Iterable[AlertEvent]) -> None:
        """Take note of alerts that fire, or are over; without a configuration nobody is told."""
        if self._dispatcher is not None:
            self._dispatcher.observe(events)

    async def run(self, token: int, everything: Everything) -> None:
        """Until cancelled. Raises `FencedError` when another observer leads."""
        if self._file is None:
            log.info("nobody is told of alerts", reason="WAGGLE_NOTIFY_CONFIG names no file")
            await asyncio.Event().wait()
            return
        await self.silences_known.wait()
        self._looked = False
        config = await self._other_than(None)
        while True:
            config = await self._dispatch(config, token, everything)

    async def _dispatch(self, config: NotificationConfig, token: int, everything: Everything) -> NotificationConfig:
        """Tell by a configuration until there is another one, which is returned."""
        notifiers = {name: self._notifier(config, name) for name in config.channels}
        dispatcher = Dispatcher(
            config,
            notifiers,
            silences=self._silences,
            store=BucketRecords(self._broker),
            token=token,
            history=StreamHistory(self._broker),
            clock=self._broker.clock.now,
            settle=self._rhythm.settle,
            metrics=self._metrics,
            graph=self._graph,
        )
        self._inhibit_rules = config.inhibit_rules
        await self._begin(dispatcher, notifiers, everything)
        telling = asyncio.create_task(dispatcher.run(), name="notifications")
        looking = asyncio.create_task(self._other_than(config), name="file of notifications")
        try:
            await asyncio.wait({telling, looking}, return_when=asyncio.FIRST_COMPLETED)
            return await (looking if looking.done() else _for_ever(telling))
        finally:
            self._dispatcher = None
            self._metrics.watch(waiting=dict, groups=int)
            for task in (telling, looking):
                task.cancel()
            await asyncio.gather(telling, looking, return_exceptions=True)

    async def _begin(self, dispatcher: Dispatcher, notifiers: Mapping[str, Notifier], everything: Everything) -> None:
        try:
            await _started(dispatcher)
            self._dispatcher = dispatcher  # from now on it hears of what changes, too
            dispatcher.observe(await asyncio.to_thread(everything))
        except BaseException:
            self._dispatcher = None
            await asyncio.gather(*(notifier.close() for notifier in notifiers.values()))  # nobody else does
            raise

    async def _other_than(self, config: NotificationConfig | None) -> NotificationConfig:
        """The next configuration that can be used and says something else."""
        while True:
            found = await self._changed()
            if found is not None and found != config:
                log.info("notifications go by the file", file=str(self._file), channels=sorted(found.channels))
                return found
            await asyncio.sleep(self._rhythm.look_s)

    async def _changed(self) -> NotificationConfig | None:
        """What the file says if it may have changed since the last look, and can be used."""
        assert self._file is not None
        signature = await asyncio.to_thread(_signature, self._file)
        if self._looked and signature == self._signature:
            return None
        self._looked, self._signature = True, signature
        try:
            config = await asyncio.to_thread(load_config, self._file)
        except WaggleError as error:
            self.problems = tuple(str(error).splitlines())
            log.error("file of notifications refused, the one before stays", reason=str(error))  # noqa: TRY400 (it says all)
            return None
        self.problems = ()
        return config

    def _notifier(self, config: NotificationConfig, channel: str) -> Notifier:
        return build_notifier(config.channels[channel], allowed_networks=self._networks, clock=self._broker.clock.now)


async def _started(dispatcher: Dispatcher) -> None:
    while True:
        try:
            return await dispatcher.start()
        except (TransientError, TimeoutError) as error:
            log.warning("state of notifications not read yet", reason=str(error) or "no answer in time")
            await asyncio.sleep(RETRY_S)


async def _for_ever(telling: asyncio.Task[None]) -> NotificationConfig:
    await telling
    raise RuntimeError("notifications ended without being told to")


def _signature(file: Path) -> Signature:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
