"""Has a process work by the current revision."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from contracts import topology
from contracts.errors import WaggleError
from contracts.runtime_config import ConfigRevision, RuntimeConfig
from messaging.broker import Broker
from messaging.configuration.keys import CURRENT
from messaging.errors import BrokerUnavailableError
from messaging.watching import POLL_S, BucketWatch, Entries

RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)

Apply = Callable[[RuntimeConfig], None]
Tell = Callable[[int], Awaitable[None]]


class ConfigFollower:
    """Calls `apply` with what is set, and then `tell` with the number of its revision (0: nothing is set).

    `apply` exchanges values between two messages: those in hand end as they began. A revision that cannot be read, as one of
    a newer release, changes nothing; that is logged and counted.
    """

    def __init__(self, broker: Broker, apply: Apply, *, tell: Tell, meter: Meter, poll_s: float = POLL_S) -> None:
        self._watch = BucketWatch(broker, topology.CONFIG, CURRENT, poll_s=poll_s)
        self._apply = apply
        self._tell = tell
        self._applied: tuple[int, RuntimeConfig] | None = None
        self._refused = meter.create_counter(
            "waggle.config.refused", description="Revisions of the configuration that this process cannot read."
        )
        meter.create_observable_gauge(
            "waggle.config.revision", [self._observed], description="The revision that this process works by."
        )

    async def begin(self) -> None:
        """Work by what is set now; waits for a broker that is away."""
        while True:
            try:
                entries = await self._watch.read()
            except BrokerUnavailableError as error:
                log.warning("waiting for the broker", reason=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                await self._heed(entries)
                return

    async def run(self) -> None:
        """Work by what is set, as it changes, until cancelled."""
        async for entries in self._watch.states():
            await self._heed(entries)

    async def _heed(self, entries: Entries) -> None:
        try:
            number, values = _current(entries)
        except WaggleError as error:
            self._refused.add(1)
            at = self._applied[0] if self._applied else 0
            log.error("a revision is not taken over", works_by=at, reason=str(error))  # noqa: TRY400 (it says all)
            if self._applied is None:
                await self._tell(0)
            return
        if (number, values) == self._applied:
            return
        self._apply(values)
        self._applied = (number, values)
        log.info("works by a revision of the configuration", revision=number, values=values.given)
        await self._tell(number)

    def _observed(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._applied[0] if self._applied else 0)]


def _current(entries: Entries) -> tuple[int, RuntimeConfig]:
    entry = entries.get(CURRENT)
    if entry is None or entry.value is None:
        return 0, RuntimeConfig()
    revision = ConfigRevision.from_bytes(entry.value)
    return revision.number, revision.values
