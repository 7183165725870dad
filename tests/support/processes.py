"""Start a process of the project in a test, read what it says, and see how it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
END_TIMEOUT_S = 60.0


class Running:
    """A child process; `lines` is what it has said on standard output so far, `errors` on standard error."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []

    async def says(self, line: str, *, timeout_s: float = 60.0) -> None:
        """Wait until a line starts with `line`."""
        await until(
            lambda: any(said.startswith(line) for said in self.lines),
            timeout_s=timeout_s,
            what=f"{line!r} among {self.lines}; errors: {self.errors[-20:]}",
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def ends(self) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(END_TIMEOUT_S):
            return await self.process.wait()


@asynccontextmanager
async def started(module: str, *arguments: str, **environment: str) -> AsyncIterator[Running]:
    """Run `python -m module` with `environment` added; it is killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        env=_environment(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Running(process)
    async with asyncio.TaskGroup() as readers:
        readers.create_task(_read(process.stdout, running.lines))
        readers.create_task(_read(process.stderr, running.errors))
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAGGLE_")}
    return {**inherited, **added}


async def _read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    assert stream is not None
    async for line in stream:
        lines.append(line.decode(errors="replace").rstrip())  # noqa: PERF401 (readers look on while it grows)
