"""Which workers use which index, as their heartbeats tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.errors import PermanentError
from contracts.health import FACT_INDEX, HEARTBEAT_INTERVAL_S, Heartbeat
from contracts.settings import IndexKind
from messaging.broker import Broker
from messaging.fleet import FleetView

HEARD_AFTER_S = HEARTBEAT_INTERVAL_S * 1.5
"""By then every worker has told what it uses now."""

_SERVICES = ("embed", "retrieve")


class IndexUsers:
    """Listens to the workers that open an index."""

    def __init__(self, fleet: FleetView, kind: IndexKind, *, heard_after_s: float) -> None:
        self._fleet = fleet
        self._kind = kind
        self._heard_after_s = heard_after_s

    @classmethod
    @asynccontextmanager
    async def listening(
        cls, broker: Broker, kind: IndexKind, *, heard_after_s: float = HEARD_AFTER_S
    ) -> AsyncIterator[IndexUsers]:
        fleet = FleetView(broker)
        await fleet.start()
        try:
            yield cls(fleet, kind, heard_after_s=heard_after_s)
        finally:
            await fleet.stop()

    async def hear(self) -> None:
        """Wait until all have told what they use now."""
        await asyncio.sleep(self._heard_after_s)

    def of(self, name: str) -> list[str]:
        """The workers that use an index."""
        return [_named(each) for each in self._workers() if each.facts.get(FACT_INDEX) == f"{self._kind}:{name}"]

    def require_followers(self) -> None:
        """Raises `PermanentError` when a worker runs that would not notice a switch."""
        blind = [_named(each) for each in self._workers() if FACT_INDEX not in each.facts and each.state == "ready"]
        if blind:
            raise PermanentError(
                f"{', '.join(blind)} run an earlier release, which does not follow when the index is replaced: restart them "
                "with this release or stop them, then run the same command again"
            )

    def _workers(self) -> list[Heartbeat]:
        alive = [member.heartbeat for member in self._fleet.members() if member.alive]
        return [each for each in alive if each.service in _SERVICES]


def _named(heartbeat: Heartbeat) -> str:
    return f"{heartbeat.service} {heartbeat.instance}"
