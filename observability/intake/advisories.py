"""What the broker says of messages that nobody will get again, counted."""

from __future__ import annotations

from typing import Final

from contracts.advisories import DeliveryAdvisory
from contracts.errors import InvalidMessageError
from observability.intake import catalogue
from observability.intake.recent import SeenIds
from observability.intake.tally import Tally

LARGEST_BYTES: Final = 64 * 1024
MOST_IDS: Final = 8_192


class Advisories:
    """Counts advisories by stream and consumer; what is told twice counts once."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._seen = SeenIds(most=MOST_IDS)

    def take(self, data: bytes) -> None:
        """Count one. Raises `WaggleError` for what is none."""
        if len(data) > LARGEST_BYTES:
            raise InvalidMessageError(f"{len(data)} bytes are more than an advisory has")
        advisory = DeliveryAdvisory.from_bytes(data)
        id = f"{advisory.type} {advisory.stream} {advisory.consumer} {advisory.stream_seq} {advisory.timestamp}"
        if self._seen.is_new(id):
            kind = "max_deliveries" if advisory.exhausted else "terminated"
            self._tally.add(catalogue.ADVISORIES, kind=kind, stream=advisory.stream, consumer=advisory.consumer)
