"""Messages that lie in a work queue and are not delivered any more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from contracts import topology
from contracts.reconciliation import Remedy
from messaging.broker import Broker
from messaging.consumers import done_with, standing
from messaging.deadletters import tenant_of_letter
from messaging.errors import MessageTooLargeError, PublishRefusedError, StreamFullError
from messaging.requeueing import Requeueing, was_requeued
from messaging.storage import Storage, Stored
from messaging.stranded import stranded
from workers.keeper.exhaustion import Exhaustion
from workers.keeper.reconciliation.finding import MOST_FINDINGS, Finding, Rhythm

AGAIN = (
    "put into its queue anew, it was not brought to an end either: the process died each time, or the broker lost it"
)
REFUSED = "it was delivered no more, and could not be put into its queue anew"


class StrandedMessages:
    """Finds what a consumer is done with although the work queue still holds it.

    Either it was handed out as often as it may be, and the broker's only word of it was not heard; or the broker lost what
    it knew of it, as when its disk is full: that it was handed out, or that it is done. All work bears repetition, so it
    is put into the queue anew, and only what comes to lie there again ends as a dead letter.
    """

    name = "messages"

    def __init__(
        self, broker: Broker, storage: Storage, exhaustion: Exhaustion, table: topology.Topology, rhythm: Rhythm
    ) -> None:
        self._broker = broker
        self._storage = storage
        self._exhaustion = exhaustion
        self._requeueing = Requeueing(broker, storage)
        self._consumers = [c for c in table.consumers if c.stream.retention is topology.Retention.WORK_QUEUE]
        self._rhythm = rhythm
        self.interval_s = rhythm.pause_s

    async def find(self) -> Sequence[Finding]:
        return [finding for consumer in self._consumers for finding in await self._stranded(consumer)]

    async def _stranded(self, consumer: topology.Consumer) -> list[Finding]:
        last = await done_with(self._broker, consumer)
        settled = self._broker.clock.now() - self._rhythm.settled
        found: list[Finding] = []
        async for stored in stranded(self._storage, consumer, done_with=last):
            if len(found) == MOST_FINDINGS:
                break
            if stored.stored_at <= settled:
                found.append(self._finding(consumer, stored))
        return found

    def _finding(self, consumer: topology.Consumer, stored: Stored) -> Finding:
        again = was_requeued(stored)
        return Finding(
            remedy=Remedy.DEAD_LETTER if again else Remedy.REDRIVE,
            subject=f"message {consumer.stream.name} {stored.sequence}",
            reason=f"consumer {consumer.durable} is done with it, and it is still there{', for the second time' * again}",
            tenant=tenant_of_letter(stored.subject),
            apply=partial(self._exhaustion.end_stranded, stored, consumer, AGAIN)
            if again
            else partial(self._hand_out_anew, stored, consumer),
        )

    async def _hand_out_anew(self, stored: Stored, consumer: topology.Consumer) -> None:
        """Put it into its queue anew. What cannot be stored there ends, and so does the one that makes room for others."""
        try:
            await self._requeueing.requeue(stored, consumer.stream.name)
        except (PublishRefusedError, MessageTooLargeError) as error:
            await self._exhaustion.end_stranded(stored, consumer, f"{REFUSED}: {error}")
        except StreamFullError as error:
            if await self._somebody_makes_room(consumer.stream):
                raise
            await self._exhaustion.end_stranded(stored, consumer, f"{REFUSED}: {error}")

    async def _somebody_makes_room(self, stream: topology.Stream) -> bool:
        """Whether any worker has, or will get, a message of this queue."""
        standings = [await standing(self._broker, c) for c in self._consumers if c.stream.name == stream.name]
        return any(found is None or found.pending or found.ack_pending for found in standings)
