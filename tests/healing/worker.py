"""A process of the stack under test: that of `tests.faults.worker`, whose ways change as switches say.

Production functions are wrapped from outside, so that they know nothing of it, and keep their signatures, by which fault
points read what a call is about.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.faults import worker
from tests.faults.plans import FOLDER_VARIABLE
from tests.faults.striking import wrap
from tests.healing.switches import Switch, Switches

LOOK_S = 0.05
SLOW_BATCH_S = 4.0
"""Slow, and well within what a batch may take before its worker counts as stuck."""
SLOW_SEARCH_S = 6.0
LEAKED_BYTES = 6 * 1024**2
"""With each heartbeat: two in a second would not be a leak but the end."""

Method = Callable[..., Awaitable[Any]]


class Ways:
    """Of one process."""

    def __init__(self, switches: Switches, instance: str) -> None:
        self._switches = switches
        self._instance = instance
        self._leaked: list[bytes] = []

    def install(self, service: str) -> None:
        wrap("messaging.heartbeats:HeartbeatPublisher.publish", self._muted)
        if service == "embed":
            wrap("workers.embed.embedding:Embedding.embed", self._hanging)
            wrap("workers.embed.embedding:Embedding.embed", self._slowed(Switch.SLOW_ENCODER, SLOW_BATCH_S))
        if service == "retrieve":
            wrap("workers.indexing.lance:LanceIndex.search", self._slowed(Switch.SLOW_SEARCH, SLOW_SEARCH_S))

    def _is(self, switch: Switch) -> bool:
        return self._switches.is_on(switch, self._instance)

    def _muted(self, original: Method) -> Method:
        @functools.wraps(original)
        async def publish(heartbeats: Any) -> None:
            if self._is(Switch.LEAKS):
                self._leaked.append(b"x" * LEAKED_BYTES)  # written to, so that it takes memory
            if not self._is(Switch.MUTE):
                await original(heartbeats)

        return publish

    def _hanging(self, original: Method) -> Method:
        @functools.wraps(original)
        async def call(*args: Any, **kwargs: Any) -> Any:
            while self._is(Switch.HANGS):  # noqa: ASYNC110 (another process says so, by a file)
                await asyncio.sleep(LOOK_S)
            return await original(*args, **kwargs)

        return call

    def _slowed(self, switch: Switch, by_s: float) -> Callable[[Method], Method]:
        def slowed(original: Method) -> Method:
            @functools.wraps(original)
            async def call(*args: Any, **kwargs: Any) -> Any:
                if self._is(switch):
                    await asyncio.sleep(by_s)
                return await original(*args, **kwargs)

            return call

        return slowed


def main() -> int:
    Ways(Switches(Path(os.environ[FOLDER_VARIABLE])), os.environ["WAGGLE_INSTANCE"]).install(sys.argv[1])
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
