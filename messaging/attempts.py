"""How often a message was really tried, which is not how often it was delivered.

The broker counts every delivery: also one that was handed back because its process was to end, and one whose process was
ended by another message. The first deliveries count as they are, so that nothing is written for a message that goes well.
From then on what counts is recorded, before it begins: what ends without a word stays recorded.
"""

from __future__ import annotations

import json

from contracts import topology
from messaging.broker import Broker
from messaging.buckets import Bucket, StaleRevisionError
from messaging.deadletters import letter_id
from messaging.delivery import Delivery

UNSUSPECTED_DELIVERIES = 2
"""One repetition says nothing: processes end for many reasons, and most that comes again is in a hurry."""


def is_suspect(delivery: Delivery) -> bool:
    """Whether the message may be what ended the process before, and is to be handled by itself."""
    return delivery.attempt > UNSUSPECTED_DELIVERIES


class Attempts:
    """Counts the attempts at messages. All raise `BrokerUnavailableError` when the record of a suspect is out of reach."""

    def __init__(self, broker: Broker) -> None:
        self._bucket = Bucket(broker, topology.SUSPECTS)

    async def made(self, delivery: Delivery) -> int:
        """The attempts so far; of a suspect without this delivery, unless it has begun."""
        if not is_suspect(delivery):
            return delivery.attempt
        recorded, _ = await self._recorded(delivery)
        return UNSUSPECTED_DELIVERIES + len(recorded)

    async def begin(self, delivery: Delivery) -> int:
        """Count this delivery, once, and return the attempts with it."""
        if not is_suspect(delivery):
            return delivery.attempt
        return UNSUSPECTED_DELIVERIES + await self._record(delivery, counts=True)

    async def take_back(self, delivery: Delivery) -> None:
        """Do not count this delivery, if it is a suspect's: it was broken off for no reason of its own."""
        if is_suspect(delivery):
            await self._record(delivery, counts=False)

    async def _record(self, delivery: Delivery, *, counts: bool) -> int:
        while True:
            recorded, revision = await self._recorded(delivery)
            wanted = recorded | {delivery.attempt} if counts else recorded - {delivery.attempt}
            if wanted == recorded:
                return len(recorded)
            try:
                await self._bucket.write(_key(delivery), json.dumps(sorted(wanted)).encode(), revision=revision)
            except StaleRevisionError:  # an earlier delivery is not over yet: its process came back late
                continue
            return len(wanted)

    async def _recorded(self, delivery: Delivery) -> tuple[set[int], int]:
        entry = await self._bucket.get(_key(delivery))
        if entry is None:
            return set(), 0
        return set(json.loads(entry.value or b"[]")), entry.revision


def _key(delivery: Delivery) -> str:
    return f"{delivery.stream}.{letter_id(delivery.sequence, delivery.published_at)}"
