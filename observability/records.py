"""Records of what an observer goes on with where another one stopped, kept somewhere with compare-and-set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from contracts.errors import TransientError
from contracts.message import Message

R = TypeVar("R", bound=Message)


class StaleRecordError(TransientError):
    """The record was written by somebody else since it was read; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord(Generic[R]):
    """A record and the revision to write against. `record` is None for one that this release cannot read."""

    key: str
    revision: int
    record: R | None


class RecordStore(Protocol[R]):
    """Keeps records by key, with compare-and-set. Raises `TransientError` when it is away."""

    async def load(self) -> list[StoredRecord[R]]:
        """All records."""
        ...

    async def read(self, key: str) -> StoredRecord[R] | None: ...

    async def write(self, record: R, *, revision: int) -> int:
        """Write a record that is still at `revision` (0: there is none). Returns the new revision; raises `StaleRecordError`,
        and `PermanentError` for one that is too large.
        """
        ...

    async def remove(self, key: str, *, revision: int) -> None:
        """Remove a record unless somebody has written it after `revision`."""
        ...
