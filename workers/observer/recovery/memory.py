"""What was decided, done and verified, by whomever: restored from the stream OPS, and followed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from contracts import subjects, topology
from contracts.recovery import RecoveryApproval, RecoveryDecision, RecoveryResult, RecoveryVerification
from messaging.broker import Broker
from messaging.event_pages import event_of
from messaging.storage import Storage, Stored
from observability.recovery import Past
from observability.recovery.past import REMEMBERED, Event

AHEAD: Final = timedelta(minutes=5)
"""What claims to have happened so long after it was stored is of no use: it would be the newest for ever."""
BATCH: Final = 32
EVERYTHING: Final = f"{subjects.RECOVERY}.>"

_TYPES: Final[Mapping[str, type[Event]]] = {
    "decisions": RecoveryDecision,
    "results": RecoveryResult,
    "verifications": RecoveryVerification,
    "approvals": RecoveryApproval,
}

log = structlog.get_logger(__name__)


class Memory:
    """`past` is complete once `known` is set. One for a term: whoever leads next reads it anew."""

    def __init__(self, broker: Broker) -> None:
        self.past = Past()
        self.known = asyncio.Event()
        self._broker = broker
        self._storage = Storage(broker)

    async def run(self) -> None:
        """Follow until cancelled. Raises `TransientError` when the stream cannot be read at first, or was made anew."""
        reached = await self._restored()
        self.known.set()
        async for stored in self._storage.follow(topology.OPS.name, EVERYTHING, after=reached):
            self._take(stored)

    async def _restored(self) -> int:
        """The sequence up to which everything of `REMEMBERED` has been taken note of."""
        reached = await self._storage.last_sequence(topology.OPS.name)
        since = self._broker.clock.now() - REMEMBERED
        for first in await self._storage.following(topology.OPS.name, EVERYTHING, since=since, limit=1):
            self._take(first)
            async for stored in self._storage.every(topology.OPS.name, EVERYTHING, after=first.sequence, limit=BATCH):
                self._take(stored)
                reached = max(reached, stored.sequence)
        return reached

    def _take(self, stored: Stored) -> None:
        kind = _TYPES.get(stored.subject.split(".")[2])
        event = None if kind is None else event_of(kind, stored)
        if event is None:
            return
        if event.created_at > stored.stored_at + AHEAD:
            log.warning("an event of the future", subject=stored.subject, sequence=stored.sequence)
            return
        self.past.take(event)
