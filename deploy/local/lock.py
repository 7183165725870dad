"""One command at a time starts a stack or changes it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.errors import AlreadyRunningError
from deploy.local.layout import Layout


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Raises `AlreadyRunningError` at once when another command has it. Who dies gives it back."""
    with layout.lock.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunningError(
                f"Another command is just starting or changing the stack in {layout.data_dir}: wait until it is done."
            ) from error
        yield
