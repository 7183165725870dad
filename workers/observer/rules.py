"""Keeps the rules in force in step with their files and with the bucket `config`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from contracts.settings import ObserverSettings
from messaging.broker import Broker
from messaging.rule_texts import RuleTexts
from observability.alerting import RuleBook, RuleFiles
from observability.alerting.rule_files import Text
from workers.observer.rhythm import Rhythm

SHIPPED = "shipped"
"""What the folder of our own rules is called, wherever it is."""


class RuleWatch:
    """`known` is set once all was read; `changed` is set, and replaced, whenever the groups in force are others."""

    def __init__(self, broker: Broker, book: RuleBook, files: RuleFiles, *, rhythm: Rhythm) -> None:
        self.book = book
        self.known = asyncio.Event()
        self.changed = asyncio.Event()
        self._files = files
        self._texts = RuleTexts(broker, poll_s=rhythm.poll_s)
        self._look_s = rhythm.look_s
        self._on_disk: Mapping[str, Text] | None = None
        self._in_bucket: Mapping[str, Text] | None = None
        self._taking = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look(), name="files of rules")
            tasks.create_task(self._listen(), name="texts of rules")

    async def _look(self) -> None:
        while True:
            found = await asyncio.to_thread(self._files.read)
            if found != self._on_disk:
                self._on_disk = found
                await self._take()
            await asyncio.sleep(self._look_s)

    async def _listen(self) -> None:
        async for texts in self._texts.states():
            self._in_bucket = texts
            await self._take()

    async def _take(self) -> None:
        async with self._taking:
            if self._on_disk is None or self._in_bucket is None:
                return
            # Large files take a second to read.
            if await asyncio.to_thread(self.book.take, {**self._on_disk, **self._in_bucket}):
                changed, self.changed = self.changed, asyncio.Event()
                changed.set()
            self.known.set()


def rule_files(settings: ObserverSettings, shipped: Path) -> RuleFiles:
    """The files that the settings name."""
    ours = [(SHIPPED, shipped)] if settings.shipped_rules else []
    return RuleFiles([*ours, *((str(path), path) for path in settings.rule_paths)])
