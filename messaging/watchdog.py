"""Notices that a consumer has vanished. Its subscribers would wait for ever and nothing would say so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats.errors
import structlog
from opentelemetry.metrics import Meter

from contracts import topology
from contracts.errors import WaggleError
from messaging.broker import Broker
from messaging.cancelling import heeding_cancellation
from messaging.provisioning import ensure_consumer

INTERVAL_S = 10.0

log = structlog.get_logger(__name__)


class Watchdog:
    """Looks after the consumers of a worker, and keeps the broker's clock exact on the way."""

    def __init__(
        self,
        broker: Broker,
        consumers: Sequence[topology.Consumer],
        table: topology.Topology,
        *,
        meter: Meter,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._broker = broker
        self._consumers = consumers
        self._table = table
        self._interval_s = interval_s
        self._counter = meter.create_counter("waggle.consumer.restored", description="Consumers that had vanished.")
        self.restored = 0

    async def run(self) -> None:
        """Look every `interval_s` until cancelled. A broker that is away is looked at again later."""
        while True:
            await asyncio.sleep(self._interval_s)
            if not self._broker.is_connected:
                continue
            try:
                await heeding_cancellation(self.look())
            except (WaggleError, nats.errors.Error) as error:
                log.warning("consumers could not be looked after", reason=str(error))

    async def look(self) -> None:
        """One round: restore what is missing, take a sample of the broker's time."""
        for consumer in self._consumers:
            if await ensure_consumer(self._broker, consumer, self._table):
                self.restored += 1
                self._counter.add(1, {"messaging.consumer.group.name": consumer.durable})
                log.error("consumer had vanished, restored", consumer=consumer.durable, stream=consumer.stream.name)
        await self._broker.clock.sync(timeout_s=self._broker.publish_timeout_s)
