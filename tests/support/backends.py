"""Backends that a test takes away and brings back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from contracts.errors import TransientError
from messaging.breaker import Probing
from messaging.errors import BrokerUnavailableError
from messaging.storage import Storage

BRISK_PROBING = Probing(first_pause_s=0.05, max_pause_s=0.3, timeout_s=1.0)


class Backend:
    """Every call fails while it is `away`; calls for a document in `bad` fail always."""

    def __init__(self, *, bad: frozenset[str] = frozenset()) -> None:
        self.away = False
        self.calls: list[str] = []
        self._bad = bad

    async def call(self, document_id: str) -> None:
        self.calls.append(document_id)
        if self.away or document_id in self._bad:
            raise TransientError(f"no answer about {document_id}")

    async def look(self) -> None:
        if self.away:
            raise OSError("connection refused")


@contextmanager
def unanswered(stream: str) -> Iterator[None]:
    """Nobody in this process gets an answer about a stream, as while it has no leader; all else of the broker answers."""
    required = Storage._require_connection

    def require(storage: Storage, asked: str) -> None:
        if asked == stream:
            raise BrokerUnavailableError(f"{stream} does not answer")
        required(storage, asked)

    with patch.object(Storage, "_require_connection", require):
        yield
