"""Looks at the broker: its storage, its streams, how far their consumers are, and what nobody will get any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import structlog

from contracts import topology
from contracts.errors import TransientError
from messaging.broker import Broker
from messaging.clock import parse_time
from messaging.consumers import Standing, standing
from messaging.jetstream_api import JetStreamApi
from messaging.storage import Storage
from messaging.stranded import stranded
from observability.intake import BrokerFacts, ConsumerFacts, StreamFacts

LOOK_INTERVAL_S: Final = 10.0
LOOK_TIMEOUT_S: Final = 8.0
AT_ONCE: Final = 16
"""Requests under way; a look takes about three for each work queue and one for each other stream and consumer."""
MOST_STRANDED: Final = 100
"""Stranded messages are counted one by one, up to here."""

S = TypeVar("S")
T = TypeVar("T")

log = structlog.get_logger(__name__)


class BrokerLooks:
    """Looks at the streams and consumers of a topology. Requests go to JetStream's API and read no consumer's messages."""

    def __init__(
        self, broker: Broker, table: topology.Topology | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._broker = broker
        self._table = table or topology.Topology()
        self._monotonic = monotonic
        self._api = JetStreamApi(broker)
        self._storage = Storage(broker)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._away = False

    async def look(self) -> BrokerFacts | None:
        """What there is now; None when the broker is away or does not answer all of it in time.

        A stream or consumer that cannot be looked at alone, as it is not there, is left out.
        """
        facts, reason = None, "not connected"
        if self._broker.is_connected:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    facts = await self._look()
            except TimeoutError:
                reason = f"no answer within {LOOK_TIMEOUT_S:g} s"
            except TransientError as error:
                reason = str(error)
        self._say(away=facts is None, reason=reason)
        return facts

    async def _look(self) -> BrokerFacts:
        asked = self._monotonic()
        account = await self._api.told("INFO", "JetStream")
        latency_s = self._monotonic() - asked
        streams, consumers = await asyncio.gather(
            asyncio.gather(*(self._tried(self._stream, stream) for stream in self._table.streams)),
            asyncio.gather(*(self._tried(self._consumer, consumer) for consumer in self._table.consumers)),
        )
        return BrokerFacts(
            latency_s=latency_s,
            api_errors=account["api"]["errors"],
            storage_bytes=account["storage"],
            storage_limit_bytes=_limit(account["limits"]["max_storage"]),
            streams=tuple(stream for stream in streams if stream is not None),
            consumers=tuple(consumer for consumer in consumers if consumer is not None),
        )

    async def _tried(self, look: Callable[[S], Awaitable[T]], at: S) -> T | None:
        async with self._turns:
            try:
                return await look(at)
            except TransientError as error:
                log.debug("cannot be looked at", reason=str(error))
                return None

    async def _stream(self, stream: topology.Stream) -> StreamFacts:
        info = await self._api.told(f"STREAM.INFO.{stream.name}", stream.name)
        state: dict[str, Any] = info["state"]
        return StreamFacts(
            name=stream.name,
            messages=state["messages"],
            size_bytes=state["bytes"],
            limit_bytes=_limit(info["config"]["max_bytes"]),
            oldest_s=self._age_s(parse_time(state["first_ts"])) if state["messages"] else 0.0,
        )

    async def _consumer(self, consumer: topology.Consumer) -> ConsumerFacts | None:
        found = await standing(self._broker, consumer)
        if found is None:
            return None
        is_queue = consumer.stream.retention is topology.Retention.WORK_QUEUE
        return ConsumerFacts(
            stream=consumer.stream.name,
            name=consumer.durable,
            pending=found.pending,
            ack_pending=found.ack_pending,
            redelivered=found.redelivered,
            waiting=found.waiting,
            stranded=await self._stranded(consumer, found) if is_queue else None,
            oldest_s=await self._oldest_s(consumer, found),
        )

    async def _stranded(self, consumer: topology.Consumer, found: Standing) -> int:
        number = 0
        async for _ in stranded(self._storage, consumer, done_with=found.done_with):
            number += 1
            if number == MOST_STRANDED:
                break
        return number

    async def _oldest_s(self, consumer: topology.Consumer, found: Standing) -> float:
        """Age of the oldest message that waits or is in hand."""
        if not found.pending and not found.ack_pending:
            return 0.0
        first = await self._storage.following(
            consumer.stream.name, consumer.filter_subject, after=found.done_with, limit=1
        )
        return self._age_s(first[0].stored_at) if first else 0.0

    def _age_s(self, moment: datetime) -> float:
        return max(0.0, -self._broker.clock.remaining_s(moment))

    def _say(self, *, away: bool, reason: str) -> None:
        if away and not self._away:
            log.warning("the broker cannot be looked at", reason=reason)
        elif self._away and not away:
            log.info("the broker can be looked at again")
        self._away = away


def _limit(number: int) -> int | None:
    """The broker's limit; it says -1 or 0 where there is none."""
    return number if number > 0 else None
