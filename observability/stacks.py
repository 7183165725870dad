"""What every thread and task of a process is doing, for those who ask why it hangs."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys
import threading
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

MOST_FILE_BYTES = 1024 * 1024
"""A file above that begins anew."""
MOST_FRAMES = 64
MOST_TASKS = 500

DUMP_SIGNAL = signal.SIGUSR1


class StackFile:
    """A file to which stacks are appended: those of an order, and at `DUMP_SIGNAL` those of all threads.

    The signal is answered also while the event loop hangs: by the interpreter itself, without running Python code. Tasks are
    not in that.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_FILE_BYTES) -> None:
        self.path = path
        self._most_bytes = most_bytes

    def answer_signal(self) -> None:
        """From now on. Raises `OSError` when the file cannot be written; the signal then ends the process, as by default."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.trim()
        file = self.path.open("ab")  # stays open: a handler that writes to it may run at any moment
        faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True, chain=False)

    @staticmethod
    def answer_signal_to_stderr() -> None:
        """Where no file can be written."""
        faulthandler.register(DUMP_SIGNAL, all_threads=True, chain=False)

    def append(self, text: str) -> None:
        """Raises `OSError`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.trim()
        with self.path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text[-self._most_bytes :])

    def trim(self) -> None:
        """Begin anew when it is too long; whoever holds it open goes on at its new end."""
        if self.path.exists() and self.path.stat().st_size > self._most_bytes:
            with self.path.open("ab") as file:
                file.truncate(0)


def stacks() -> str:
    """The stacks of all threads and of the tasks of the running loop: files, lines and names, no values."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"Thread {names.get(ident, '?')} ({ident}):\n{_listed(traceback.extract_stack(frame, limit=MOST_FRAMES))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 (documented, and there is no other way)
    ]
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    parts += [f"Task {task.get_name()}:\n{_listed(_awaiting(task.get_coro()))}" for task in tasks[:MOST_TASKS]]
    if len(tasks) > MOST_TASKS:
        parts.append(f"{len(tasks) - MOST_TASKS} more tasks\n")
    return "\n".join(parts)


def _listed(frames: Iterable[traceback.FrameSummary]) -> str:
    return "".join(traceback.format_list(list(frames)))


def _awaiting(awaited: Any) -> traceback.StackSummary:
    """The frames of a coroutine and of all that it waits for, outermost first; `Task.get_stack` tells the first only."""
    frames: list[tuple[FrameType, int]] = []
    while awaited is not None and len(frames) < MOST_FRAMES:
        frame = next((f for name in ("cr_frame", "gi_frame", "ag_frame") if (f := getattr(awaited, name, None))), None)
        if frame is None:
            break
        frames.append((frame, frame.f_lineno))
        awaited = next(
            (a for name in ("cr_await", "gi_yieldfrom", "ag_await") if (a := getattr(awaited, name, None))), None
        )
    return traceback.StackSummary.extract(iter(frames))
