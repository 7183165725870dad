"""How long reranking takes here, told by how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable

NEW_SHARE = 0.2
"""How much the latest time counts in the moving average."""
BELIEVED_S = 30.0
"""So long after the last time nobody knows: whoever was too slow is tried again."""


class Pace:
    """A moving average of the seconds per text, waiting for others included."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._per_text_s = 0.0
        self._noted_at = -float("inf")

    def expected_s(self, texts: int) -> float:
        """The time that so many texts will take; 0 when nothing is known of late."""
        known = self._monotonic() - self._noted_at <= BELIEVED_S
        return self._per_text_s * texts if known else 0.0

    def note(self, texts: int, took_s: float) -> None:
        share = NEW_SHARE if self.expected_s(texts) else 1.0
        self._per_text_s += share * (took_s / texts - self._per_text_s)
        self._noted_at = self._monotonic()

    def note_unfinished(self, texts: int, after_s: float) -> None:
        """They took longer than that."""
        self.note(texts, max(after_s, self.expected_s(texts)))
