"""Messages that lie in a work queue and are never delivered again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from contracts import topology
from contracts.reconciliation import Remedy
from messaging.broker import Broker
from messaging.consumers import done_with
from messaging.deadletters import tenant_of_letter
from messaging.storage import Storage, Stored
from workers.keeper.exhaustion import Exhaustion
from workers.keeper.reconciliation.finding import MOST_FINDINGS, Finding, Rhythm

READ_AT_ONCE = 4
"""Messages may be large, and mostly the first one says that nothing is stranded."""


class StrandedMessages:
    """Finds what a consumer is done with although the work queue still holds it: it was handed out as often as it may be,
    and the broker's only word of it was not heard.
    """

    name = "messages"

    def __init__(
        self, broker: Broker, storage: Storage, exhaustion: Exhaustion, table: topology.Topology, rhythm: Rhythm
    ) -> None:
        self._broker = broker
        self._storage = storage
        self._exhaustion = exhaustion
        self._consumers = [c for c in table.consumers if c.stream.retention is topology.Retention.WORK_QUEUE]
        self._rhythm = rhythm
        self.interval_s = rhythm.pause_s

    async def find(self) -> Sequence[Finding]:
        return [finding for consumer in self._consumers for finding in await self._stranded(consumer)]

    async def _stranded(self, consumer: topology.Consumer) -> list[Finding]:
        last = await done_with(self._broker, consumer)
        settled = self._broker.clock.now() - self._rhythm.settled
        found: list[Finding] = []
        if last == 0:  # nothing was delivered yet, or whoever reads it will restore it
            return found
        async for stored in self._storage.every(consumer.stream.name, consumer.filter_subject, limit=READ_AT_ONCE):
            if stored.sequence > last or len(found) == MOST_FINDINGS:
                break
            if stored.stored_at <= settled:
                found.append(self._finding(consumer, stored))
        return found

    def _finding(self, consumer: topology.Consumer, stored: Stored) -> Finding:
        return Finding(
            remedy=Remedy.DEAD_LETTER,
            subject=f"message {consumer.stream.name} {stored.sequence}",
            reason=f"consumer {consumer.durable} is done with it, and it is still there",
            tenant=tenant_of_letter(stored.subject),
            apply=partial(self._exhaustion.end_stranded, stored, consumer),
        )
