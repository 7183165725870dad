"""Observers that begin and die on one store, with receivers that fail on demand and a clock that the tests put forward."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from contracts.errors import PermanentError, TransientError
from observability.notifications.channels import Notifier
from observability.notifications.configuration import parse_config
from observability.notifications.dispatcher import Dispatcher
from observability.notifications.history import RecentHistory
from observability.notifications.metrics import NotificationMetrics
from observability.notifications.notification import Notification
from observability.notifications.records import MemoryStore
from observability.notifications.silencing import Silences
from observability.notifications.state import GroupRecord
from tests.unit.observability.notifications.examples import MORNING

CONFIG = parse_config("""
route: {receiver: team, group_by: [alertname], group_wait: 0s}
receivers: [{name: team, channels: [mail, chat]}]
channels:
  mail: {kind: webhook, url: 'https://mail.example', timeout: 2m}
  chat: {kind: webhook, url: 'https://chat.example', timeout: 2m}
""")
WAIT_S = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = MORNING

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class FakeNotifier:
    """Takes everything, but what is in `errors` first; hangs while `stuck`."""

    def __init__(self) -> None:
        self.got: list[Notification] = []
        self.errors: list[Exception] = []
        self.stuck = False
        self.attempts = 0
        self.closed = False

    async def send(self, notification: Notification) -> str:
        self.attempts += 1
        if self.stuck:
            await asyncio.Event().wait()
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(notification)
        return "taken"

    async def close(self) -> None:
        self.closed = True


class FailingStore(MemoryStore):
    """A store that can be away, or hang."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.hangs = False
        self.refuses = False
        self.writes = 0

    async def write(self, record: GroupRecord, *, revision: int) -> int:
        self.writes += 1
        if self.is_away:
            raise TransientError("the store is away")
        if self.refuses:
            raise PermanentError("the store does not take this")
        if self.hangs:
            await asyncio.Event().wait()
        return await super().write(record, revision=revision)


class Fleet:
    """What outlives an observer: clock, store, history and the receivers."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = FailingStore()
        self.history = RecentHistory()
        self.mail, self.chat = FakeNotifier(), FakeNotifier()

    def dispatcher(self, *, token: int = 1, metrics: NotificationMetrics | None = None) -> Dispatcher:
        notifiers: dict[str, Notifier] = {"mail": self.mail, "chat": self.chat}
        return Dispatcher(
            CONFIG,
            notifiers,
            silences=Silences(),
            store=self.store,
            token=token,
            history=self.history,
            clock=self.clock,
            settle=timedelta(),
            metrics=metrics,
            jitter=lambda: 1.0,
        )

    @asynccontextmanager
    async def observer(self, *, token: int = 1) -> AsyncIterator[Dispatcher]:
        """One that runs until the end of the body, and is then cut off as by a crash."""
        dispatcher = self.dispatcher(token=token)
        await dispatcher.start()
        running = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    def stored(self) -> list[GroupRecord]:
        return [GroupRecord.from_bytes(content) for _, content in self.store._records.values()]

    def is_stored_as_told(self, *channels: str) -> bool:
        told = [record.told.get(channel, {}) for record in self.stored() for channel in channels]
        return bool(told) and all(alerts and all(a.at for a in alerts.values()) for alerts in told)
