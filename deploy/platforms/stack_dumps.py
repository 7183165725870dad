"""Has a process of this host write what its threads are doing, without its event loop: the interpreter does it at a signal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import psutil

from observability.stacks import DUMP_SIGNAL

WRITTEN_WITHIN_S: Final = 2.0
QUIET_S: Final = 0.1
"""A dump is whole once nothing more was written for so long."""
POLL_S: Final = 0.02


def dumped_stacks(pid: int, file: Path) -> str:
    """What a process appends to `file` at the signal; where it would not, or does not, why. Blocks for 2 s at most."""
    try:
        return _dumped(psutil.Process(pid), file) if pid else "no stacks: it does not run"
    except (psutil.Error, OSError) as error:
        return f"no stacks: {error}"


def _dumped(process: psutil.Process, file: Path) -> str:
    status = process.status()
    if status in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
        return f"no stacks: its process is {status}, and answers no signal"
    if not _catches_signal(process.pid):  # it would end the process
        return f"no stacks: its process ({status}) does not catch {DUMP_SIGNAL.name}"
    before = _size(file)
    process.send_signal(DUMP_SIGNAL)
    after = _grown(file, before)
    if after <= before:
        return f"no stacks: its process ({process.status()}) wrote none within {WRITTEN_WITHIN_S:g} s"
    with file.open("rb") as opened:
        opened.seek(before)
        return opened.read(after - before).decode(errors="replace")


def _grown(file: Path, before: int) -> int:
    """The size once it has grown and grows no more, or the time is over."""
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    size, quiet_since = before, time.monotonic()
    while (now := time.monotonic()) < deadline:
        if (found := _size(file)) != size:
            size, quiet_since = found, now
        elif size > before and now - quiet_since >= QUIET_S:
            break
        time.sleep(POLL_S)
    return size


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _catches_signal(pid: int) -> bool:
    """Whether a process has a handler of its own for it (proc_pid_status(5): SigCgt, a mask in hex)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    for line in status.splitlines():
        name, _, mask = line.partition(":")
        if name == "SigCgt":
            return bool(int(mask, 16) >> (DUMP_SIGNAL - 1) & 1)
    return False
