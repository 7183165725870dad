"""What the processes of a stack use: memory, open files, tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from tests.faults.manners import tasks_file
from tests.faults.stack import Stack

EVERY_S = 1.0
KiB = 1024
MiB = 1024 * 1024
BROKER = "broker"
BROKER_KIB_PER_MESSAGE = 1.0
"""The broker keeps an index of all that it stores in memory. How much it stores the streams' limits bound."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """Of one process, with its children. `tasks` are those of its event loop, None where it does not tell."""

    rss_mib: float
    fds: int
    tasks: int | None


@dataclass
class Usage:
    """Samples by process name, oldest first; `broker` is among them."""

    stack: Stack
    samples: dict[str, list[Use]] = field(default_factory=dict)
    stored: int = 0
    """How many messages the broker held more at the end than at the beginning."""

    def take(self) -> None:
        """One sample of each process. One that is just being replaced is left out."""
        pids = {name: self.stack.fleet.pid(name) for name in self.stack.fleet.names()}
        assert self.stack.server.pid is not None
        for name, pid in (pids | {BROKER: self.stack.server.pid}).items():
            with suppress(psutil.NoSuchProcess):
                self.samples.setdefault(name, []).append(_use(pid, self.stack.folder))

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """A sample every second while the body runs."""

        async def taking() -> None:
            while True:
                self.take()
                await asyncio.sleep(EVERY_S)

        before, task = await self._messages(), asyncio.create_task(taking())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.stored = await self._messages() - before

    def index_mib(self, name: str) -> float:
        """What a process may have more because of what it stored meanwhile; others than the broker: nothing."""
        return BROKER_KIB_PER_MESSAGE * max(self.stored, 0) * KiB / MiB if name == BROKER else 0.0

    async def _messages(self) -> int:
        return sum(info.state.messages for info in await self.stack.broker.js.streams_info())

    def thirds(self, name: str, what: str) -> tuple[float, float]:
        """The medians of a figure in the first and the last third of the samples; of no figures, 0 and 0."""
        figures = [figure for use in self.samples[name] if (figure := getattr(use, what)) is not None]
        third = len(figures) // 3
        return (median(figures[:third]), median(figures[-third:])) if third else (0.0, 0.0)


def _use(pid: int, folder: Path) -> Use:
    process = psutil.Process(pid)
    rss = fds = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            rss += one.memory_info().rss
            fds += one.num_fds()
    return Use(rss_mib=rss / MiB, fds=fds, tasks=_tasks(folder, pid))


def _tasks(folder: Path, pid: int) -> int | None:
    try:
        return int(tasks_file(folder, pid).read_text())
    except (FileNotFoundError, ValueError):  # not yet told, or just being written
        return None
