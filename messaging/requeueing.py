"""Puts a message that lies in its queue and is delivered no more at the end of that queue."""

from __future__ import annotations

from datetime import timedelta

from contracts import subjects, topology
from messaging.broker import Broker
from messaging.deadletters import letter_id
from messaging.deadlines import budget_s
from messaging.delivery import Delivery
from messaging.storage import Storage, Stored
from messaging.stored import without_orders

MOST_DELIVERIES = max(consumer.max_deliver for consumer in topology.CONSUMERS)


class Requeueing:
    """Hands messages out anew, once: what comes to lie there a second time is said to `was_requeued`."""

    def __init__(self, broker: Broker, storage: Storage) -> None:
        self._broker = broker
        self._storage = storage

    async def requeue(self, stored: Stored, stream: str) -> None:
        """Store the message again, and remove it where it lay; one that is gone by now is left alone.

        It keeps its deadline. What is cut off in between is found and done again: the same work twice in the queue is the
        same work once. Raises `BrokerUnavailableError`, `StreamFullError`.
        """
        if not await self._storage.holds(stream, stored):
            return
        name = letter_id(stored.sequence, stored.stored_at)
        headers = without_orders(stored.published_headers)
        if stream == topology.QUERY.name:
            headers[subjects.HEADER_BUDGET_MS] = str(self._budget_left_ms(stored))
        headers |= {subjects.HEADER_REQUEUED: name, subjects.HEADER_MESSAGE_ID: f"requeued.{stream}.{name}"}
        await self._broker.publish_bytes(stored.subject, stored.data, stream=stream, headers=headers)
        await self._storage.remove(stream, stored.sequence)

    def _budget_left_ms(self, stored: Stored) -> int:
        deadline = stored.stored_at + timedelta(seconds=budget_s(stored.headers))
        return max(0, int(1000 * self._broker.clock.remaining_s(deadline)))


def was_requeued(message: Stored | Delivery) -> bool:
    """Whether this message was put into its queue anew before."""
    return subjects.HEADER_REQUEUED in message.headers


def attempt_of(delivery: Delivery) -> int:
    """The number of this attempt, higher than any of the time before the message was put into its queue anew."""
    return delivery.attempt + (MOST_DELIVERIES if was_requeued(delivery) else 0)
