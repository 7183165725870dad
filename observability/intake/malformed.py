"""Counts what cannot be read, and says so now and then."""

from __future__ import annotations

from collections import Counter
from typing import Final

import structlog

from observability.repeats import is_power_of_ten

KINDS: Final = ("heartbeat", "sample", "event", "advisory", "misaddressed")
"""What a message should have been by its subject, or that its body says otherwise than its subject."""

log = structlog.get_logger(__name__)


class Malformed:
    """Of ten thousand messages that cannot be read five are logged: the first, the tenth, the hundredth and so on."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))

    def count(self, kind: str, subject: str, reason: str) -> None:
        """Take down a message of one of `KINDS`."""
        self.counts[kind] += 1
        if is_power_of_ten(self.counts[kind]):
            log.warning(
                "cannot be read", kind=kind, subject=subject[:256], reason=reason[:512], so_far=self.counts[kind]
            )
