"""One process at a time per folder of a backup."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from messaging.backup.errors import BackupExistsError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a folder for the body, or until the process ends. Raises `BackupExistsError` when another has it, `OSError`."""
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _take(held, path)
        yield
    finally:
        os.close(held)


def _take(held: int, path: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupExistsError(
            f"another process is writing a backup to {path}, or restores it: wait for it, or name another folder"
        ) from None
