"""Messages that may be what ended the process before.

A message that kills its process takes with it whatever else that had in hand, and all of it comes again at the same time:
together they would use up their deliveries and be given up together. So what was delivered before without an end is
handled by itself, and whoever was tried least goes first. What is tried is recorded before it begins, so that whatever
stood behind a culprit stands before it the next time and is done before it strikes again, however many culprits there are.
"""

from __future__ import annotations

import asyncio

from contracts.errors import ErrorCode, PermanentError
from messaging.attempts import Attempts
from messaging.delivery import Delivery

GATHER_S = 0.5
"""What died together comes again together: within this time all of it is here, and the order can be told."""

_Id = tuple[int, int]


class Turns:
    """Suspects of one consumer in one process, one at a time."""

    def __init__(self, attempts: Attempts, *, allowed: float, gather_s: float = GATHER_S) -> None:
        self.attempts = attempts
        self._allowed = allowed
        self._gather_s = gather_s
        self._here: dict[_Id, int] = {}
        self._served: _Id | None = None
        self._changed = asyncio.Event()

    async def take(self, suspect: Delivery) -> None:
        """Return when it is this suspect's turn; it lasts until `leave`.

        Raises `PermanentError` when its attempts are used up, and `BrokerUnavailableError`; it has left then.
        """
        try:
            self._here[_id(suspect)] = await self.attempts.made(suspect)
            await asyncio.sleep(self._gather_s)
            await self._served_next(_id(suspect))
            self._require_allowed(await self.attempts.begin(suspect))
        except BaseException:
            self.leave(suspect)
            raise

    def leave(self, suspect: Delivery) -> None:
        """Let the next one have its turn, if it was this one's. Anybody may leave at any time."""
        self._here.pop(_id(suspect), None)
        if self._served == _id(suspect):
            self._served = None
        self._changed.set()

    async def _served_next(self, suspect: _Id) -> None:
        while self._served is not None or min(self._here, key=lambda one: (self._here[one], one)) != suspect:
            self._changed.clear()
            await self._changed.wait()
        self._served = suspect

    def _require_allowed(self, attempts: int) -> None:
        if attempts > self._allowed:
            raise PermanentError(
                f"{self._allowed:.0f} attempts ended without an answer: the process died or was cut off each time",
                code=ErrorCode.RETRIES_EXHAUSTED,
            )


def _id(suspect: Delivery) -> _Id:
    """Without the deadline and such, which are told on the way."""
    return suspect.sequence, suspect.attempt
