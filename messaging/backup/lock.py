"""One process at a time per folder of a backup."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from messaging.backup.errors import BackupInUseError

_NO_LOCKS_HERE = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP})
"""What network file systems say to the lock of a folder."""

log = structlog.get_logger(__name__)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a folder for the body, or until the process ends. Raises `BackupInUseError` when another has it, `OSError`.

    Where the file system knows no locks of folders the body runs without.
    """
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
        raise BackupInUseError(
            f"another process is writing a backup to {path}, or restores it: wait for it, or name another folder"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
        log.warning("the folder cannot be locked: let no other process write to it", folder=str(path))
