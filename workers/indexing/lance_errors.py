"""What the disk and LanceDB raise, as our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import TransientError


class ConflictError(TransientError):
    """Another process changed the same rows or files first."""


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """What fails in the block is the index in this folder. All of it may pass: rights can be given, space be made."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        kind = ConflictError if "conflict" in str(error).lower() else TransientError
        raise kind(
            f"the index in {path} (WAGGLE_INDEX_PATH) failed: {error}. Is it a folder that this process may write to, on a "
            "disk that is not full?"
        ) from error
