"""A backend that a test takes away and brings back."""

from __future__ import annotations

from contracts.errors import TransientError
from messaging.breaker import Probing

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
