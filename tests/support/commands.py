"""`waggle …` as people run it: in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COMMAND_S = 240.0


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """Runs `waggle WORDS …` with the given variables and none of `WAGGLE_` that the tests happen to run with."""

    def __init__(self, *words: str, environment: Mapping[str, str]) -> None:
        self._words = words
        self._environment = environment

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start it without waiting for its end."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAGGLE_")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *self._words, *arguments),
            env={**inherited, "COLUMNS": "200", **self._environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str) -> Ran:
        process = await self.begin(*arguments)
        try:
            async with asyncio.timeout(COMMAND_S):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ran(process.returncode or 0, out.decode(), err.decode())
