"""Which events of an answer a reader still has to see, by their ids alone."""

from __future__ import annotations

import re

from contracts.answers import Delta, Retrieved

Position = tuple[int, int]

_ID = re.compile(r"(\d{1,18})\.(\d{1,18})", re.ASCII)
_START: Position = (-1, 0)
_FIRST: Position = (0, 1)
"""What was retrieved."""


class AnswerOrder:
    """Lets each event pass once and in order; of several attempts, those before the newest seen are void.

    `after` is the id of the last event that the reader has. Raises `ValueError` when it is not one.
    """

    def __init__(self, after: str | None = None) -> None:
        self._seen = _START if after is None else position(after)

    @property
    def begun(self) -> bool:
        """Whether anything has been seen."""
        return self._seen != _START

    def gap_before(self, event: Retrieved | Delta) -> bool:
        """Whether something between the last event and this one has not been seen."""
        attempt, number = position(event.id)
        if not self.begun:
            return (attempt, number) != _FIRST
        follows = self._seen[1] + 1 if attempt == self._seen[0] else 1
        return number > follows

    def admit(self, event: Retrieved | Delta) -> bool:
        """Whether the event is to be shown; it is then the last one seen."""
        at = position(event.id)
        if at <= self._seen:
            return False
        self._seen = at
        return True


def position(event_id: str) -> Position:
    """`<attempt>.<n>` as numbers. Raises `ValueError` for anything else."""
    match = _ID.fullmatch(event_id)
    if match is None:
        raise ValueError(f"{event_id[:40]!r} is not the id of an answer event: it looks like 1.12")
    return int(match[1]), int(match[2])
