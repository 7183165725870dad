"""Figures that are read together and told one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

FRESH_S = 1.0
"""Instruments of one collection, and of collections that fall together, are told from one look."""


class Snapshot:
    """The last look, taken anew when it is older than a second. Safe to use from several threads."""

    def __init__(
        self, read: Callable[[], Mapping[str, float]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._figures: Mapping[str, float] = {}
        self._until = -1.0

    def of(self, figure: str) -> float:
        """One figure. Raises `KeyError` for one that cannot be read here."""
        return self.all()[figure]

    def all(self) -> Mapping[str, float]:
        with self._lock:
            if self._monotonic() >= self._until:
                self._figures = self._read()
                self._until = self._monotonic() + FRESH_S
            return self._figures
