"""Notices that a consumer has vanished, or delivers nothing new. Its subscribers would wait and nothing would say so.

After a power cut a consumer may remember more of its stream than the stream does itself, and passes over what is stored
until the stream is as long again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import nats.errors
import structlog
from opentelemetry.metrics import Meter

from contracts import topology
from contracts.errors import WaggleError
from messaging.broker import Broker
from messaging.cancelling import heeding_cancellation
from messaging.provisioning import ensure_consumer

INTERVAL_S = 10.0
RETRY_S = 1.0
"""After a look that failed."""

log = structlog.get_logger(__name__)


class Watchdog:
    """Looks after consumers, and keeps the broker's clock exact on the way.

    Only the keeper is given any: nobody else needs to be permitted to make consumers. Two keepers may look at once.
    """

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
        self._counter = meter.create_counter("waggle.consumer.restored", description="Consumers that were made anew.")
        self.restored = 0

    async def run(self) -> None:
        """Look every `interval_s`, and when the broker is back, until cancelled."""
        pause_s = self._interval_s
        while True:
            await self._pause(pause_s)
            pause_s = self._interval_s
            if not self._broker.is_connected:
                continue
            try:
                await heeding_cancellation(self.look())
            except (WaggleError, nats.errors.Error) as error:
                log.warning("consumers could not be looked after", reason=str(error))
                pause_s = min(RETRY_S, self._interval_s)

    async def _pause(self, longest_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._broker.connected_anew()

    async def look(self) -> None:
        """One round: restore what is missing, take a sample of the broker's time."""
        for consumer in self._consumers:
            amiss = await ensure_consumer(self._broker, consumer, self._table)
            if amiss:
                self.restored += 1
                self._counter.add(1, {"messaging.consumer.group.name": consumer.durable})
                log.error("consumer restored", consumer=consumer.durable, stream=consumer.stream.name, reason=amiss)
        await self._broker.clock.sync(timeout_s=self._broker.publish_timeout_s)
