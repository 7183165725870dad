"""Locks between the processes of one host that share a folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from contracts.errors import TransientError

PATIENCE_S = 60.0
"""Longer than any process of ours needs a lock, were it not suspended."""
POLL_S = 0.02


@contextlib.asynccontextmanager
async def locked(file: Path, *, patience_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """Held by one process of the host at a time; ends with the process if not before.

    Raises `TransientError` when another process does not let go of it in time.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        with try_lock(file) as ours:
            if ours:
                yield
                return
        if asyncio.get_running_loop().time() > deadline:
            raise TransientError(
                f"another process has held {file} for {patience_s:g} s: `fuser {file}` tells which; if it is suspended, "
                "continue or end it"
            )
        await asyncio.sleep(POLL_S)


@contextlib.contextmanager
def try_lock(file: Path) -> Iterator[bool]:
    """Whether this process holds the lock; does not wait for it."""
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
