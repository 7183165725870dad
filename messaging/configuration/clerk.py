"""Sees to it that every revision is told of and kept, should its writer have died or lost the broker before."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from contracts import topology
from contracts.errors import WaggleError
from contracts.runtime_config import ConfigRevision
from messaging.broker import Broker
from messaging.configuration.book import ConfigBook
from messaging.configuration.keys import CURRENT
from messaging.watching import POLL_S, BucketWatch, Entries

RETRY_S: Final = 2.0

log = structlog.get_logger(__name__)


class ConfigClerk:
    """Any number may be at work: it is told and kept once."""

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S) -> None:
        self._book = ConfigBook(broker)
        self._watch = BucketWatch(broker, topology.CONFIG, CURRENT, poll_s=poll_s)

    async def run(self) -> None:
        """Settle each revision that becomes current, until cancelled. What comes meanwhile settles the one before."""
        async for entries in self._watch.states():
            if (revision := _revision(entries)) is not None:
                await self._settle(revision)

    async def _settle(self, revision: ConfigRevision) -> None:
        while True:
            try:
                await self._book.settle(revision)
            except WaggleError as error:
                log.warning("a revision is told of later", revision=revision.number, reason=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return


def _revision(entries: Entries) -> ConfigRevision | None:
    """What cannot be read is not for this release to tell of."""
    entry = entries.get(CURRENT)
    if entry is None or entry.value is None:
        return None
    try:
        return ConfigRevision.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not a revision of this release", key=CURRENT, reason=str(error))
        return None
