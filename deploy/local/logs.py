"""What the processes of a stack wrote."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.layout import Layout

TAIL_BYTES = 4000
SUPERVISOR_BYTES = 64_000
LAST_BYTES = 256 * 1024
_EXITED = r"exited: {} \(exit status (\d+);"
FOLLOW_POLL_S = 0.25


class RunLogs:
    """What is written to the logs from the moment this is made: those of earlier runs are in the same files."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._began = {file: (file.stat().st_ino, file.stat().st_size) for file in layout.logs.glob("*.log")}

    def tail(self, program: str, *, size_bytes: int = TAIL_BYTES) -> str:
        """The end of a program's log; empty when it wrote none."""
        file = self._layout.log(program)
        if not file.exists():
            return ""
        with file.open("rb") as log:
            now = os.fstat(log.fileno())
            log.seek(max(self._start(file, now), now.st_size - size_bytes))
            return log.read().decode(errors="replace").strip()

    def last_exit(self, program: str) -> int | None:
        """The exit status that a program had last, None when it has not ended.

        From the supervisor's log: over its socket it does not tell that of a program that ended too soon.
        """
        said = self.tail("supervisord", size_bytes=SUPERVISOR_BYTES)
        found = re.findall(_EXITED.format(re.escape(program)), said)
        return int(found[-1]) if found else None

    def _start(self, file: Path, now: os.stat_result) -> int:
        """Where this run begins in the file; one that was rotated meanwhile holds nothing else."""
        inode, size = self._began.get(file, (0, 0))
        return size if inode == now.st_ino and size <= now.st_size else 0


def programs(layout: Layout, service: str | None = None) -> list[str]:
    """The programs that have a log: all, one by its name (`embed-2`), or all replicas of a service (`embed`)."""
    names = sorted(file.stem for file in layout.logs.glob("*.log"))
    return [n for n in names if service in {None, n, n.rpartition("-")[0]}]


def last_lines(layout: Layout, program: str, count: int) -> tuple[str, ...]:
    """The last lines of a program's log, as far as its last 256 KiB hold them; none when it wrote nothing."""
    file = layout.log(program)
    if not file.exists():
        return ()
    with file.open("rb") as log:
        size = os.fstat(log.fileno()).st_size
        log.seek(max(0, size - LAST_BYTES))
        written = log.read().decode(errors="replace").splitlines()
    return tuple(written[-count:])


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
