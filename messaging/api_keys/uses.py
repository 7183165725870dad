"""When keys were last used, told to the bucket every minute: a request waits for no write."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog

from contracts.errors import WaggleError
from messaging.api_keys.book import MOST_KEYS, KeyBook
from messaging.broker import Broker

TELL_S: Final = 60.0

log = structlog.get_logger(__name__)


class KeyUses:
    """Of one gateway. What was not told when it dies is lost: it is a minute at most."""

    def __init__(self, broker: Broker, book: KeyBook, *, tell_s: float = TELL_S) -> None:
        self._broker = broker
        self._book = book
        self._tell_s = tell_s
        self._used: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        """A key was used just now."""
        if key_id in self._used or len(self._used) < MOST_KEYS:
            self._used[key_id] = self._broker.clock.now().replace(second=0, microsecond=0)

    async def run(self) -> None:
        """Tell of uses until cancelled; who ends calls `tell` once more."""
        while True:
            await asyncio.sleep(self._tell_s)
            await self.tell()

    async def tell(self) -> None:
        """Tell of the uses since the last time; those that cannot be told now are kept for the next time."""
        for key_id, used_at in list(self._used.items()):
            try:
                await self._book.note(key_id, used_at)
            except WaggleError as error:
                log.warning("uses of API keys are told later", reason=str(error))
                return
            if self._used.get(key_id) == used_at:
                del self._used[key_id]
