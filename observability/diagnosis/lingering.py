"""Roots that were there a moment ago: what they have brought about is seen for longer than they are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from contracts.diagnoses import Cause
from observability.diagnosis.base import Finding

LINGERS_MS: Final = 120_000
"""Questions that waited end up to a minute later, and are judged by the last minute."""
MOST_LINGERING: Final = 100
SUDDEN: Final = frozenset({Cause.BACKEND_CONNECTION_LOST, Cause.SERVICE_UNAVAILABLE})
"""Causes that may be over in seconds."""


class Lingering:
    """Of one source, looked at in the order of time. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, Finding]] = {}

    def heed(self, findings: Sequence[Finding], at_ms: int) -> list[Finding]:
        """Remember the sudden causes among these; what was there within the last two minutes, and is none of them."""
        present = {each.fingerprint for each in findings}
        with self._lock:
            for finding in findings:
                if finding.cause in SUDDEN:
                    self._seen.pop(finding.fingerprint, None)
                    self._seen[finding.fingerprint] = at_ms, finding
            self._seen = {
                fingerprint: seen
                for fingerprint, seen in list(self._seen.items())[-MOST_LINGERING:]
                if seen[0] > at_ms - LINGERS_MS
            }
            return [finding for fingerprint, (_, finding) in self._seen.items() if fingerprint not in present]
