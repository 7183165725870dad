"""What the processes of a stack wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.layout import Layout

TAIL_BYTES = 4000
FOLLOW_POLL_S = 0.25


def tail(layout: Layout, program: str, *, size_bytes: int = TAIL_BYTES) -> str:
    """The end of a program's log; empty when it wrote none."""
    file = layout.log(program)
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - size_bytes))
        return log.read().decode(errors="replace").strip()


def programs(layout: Layout, service: str | None = None) -> list[str]:
    """The programs that have a log: all, one by its name (`embed-2`), or all replicas of a service (`embed`)."""
    names = sorted(file.stem for file in layout.logs.glob("*.log"))
    return [n for n in names if service in {None, n, n.rpartition("-")[0]}]


@dataclass
class _Follower:
    file: Path
    name: str
    position: int = 0
    partial: bytes = field(default=b"")

    def lines(self) -> list[str]:
        """What was written since the last call, whole lines. A rotated file is read from its start."""
        size = self.file.stat().st_size if self.file.exists() else 0
        if size < self.position:
            self.position = 0
        if size == self.position:
            return []
        with self.file.open("rb") as log:
            log.seek(self.position)
            data = self.partial + log.read()
            self.position = log.tell()
        *whole, self.partial = data.split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def lines(layout: Layout, names: list[str], *, follow: bool) -> Iterator[tuple[str, str]]:
    """`(program, line)` of the given programs, each from its start; with `follow` on and on as they are written."""
    followers = [_Follower(layout.log(name), name) for name in names]
    while True:
        for follower in followers:
            for line in follower.lines():
                yield follower.name, line
        if not follow:
            return
        time.sleep(FOLLOW_POLL_S)
