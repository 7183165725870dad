"""Who is in the fleet, as this process hears it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from contracts import subjects
from contracts.errors import WaggleError
from contracts.health import HEARTBEAT_INTERVAL_S, MISSED_HEARTBEATS, Heartbeat, ProcessState
from messaging.broker import Broker

DEAD_AFTER_S = HEARTBEAT_INTERVAL_S * MISSED_HEARTBEATS
FORGOTTEN_AFTER_S = 600.0
MAX_MEMBERS = 2048
"""A bound against a flood of invented instances; the one heard of longest ago makes room."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A process and its newest heartbeat. `heard_ago_s` is by our own clock, so no other clock matters."""

    heartbeat: Heartbeat
    heard_ago_s: float
    alive: bool


class FleetView:
    """Listens to heartbeats and keeps the newest of each process.

    A process is dead after three missed heartbeats, and forgotten after ten minutes. One that was draining when it fell
    silent has stopped as it was told to: it is forgotten at once.
    """

    def __init__(self, broker: Broker, *, service: str = "*", monotonic: Callable[[], float] = time.monotonic) -> None:
        """`service`: of which service, if not of all."""
        self._broker = broker
        self._service = service
        self._monotonic = monotonic
        self._heard: dict[tuple[str, str], tuple[Heartbeat, float]] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._broker.nc.subscribe(subjects.health(self._service, "*"), cb=self._receive)

    async def stop(self) -> None:
        if self._subscription is not None and self._broker.is_connected:
            await self._subscription.unsubscribe()
        self._subscription = None

    def members(self) -> list[Member]:
        """All known processes, ordered by service and instance."""
        now = self._monotonic()
        return [
            Member(heartbeat=heartbeat, heard_ago_s=now - at, alive=now - at <= DEAD_AFTER_S)
            for _, (heartbeat, at) in sorted(self._heard.items())
            if now - at <= (DEAD_AFTER_S if heartbeat.state is ProcessState.DRAINING else FORGOTTEN_AFTER_S)
        ]

    def hear(self, heartbeat: Heartbeat) -> None:
        """Take note of a heartbeat that has just arrived."""
        key = (heartbeat.service, heartbeat.instance)
        self._heard.pop(key, None)  # the newest is last, so the one to make room is first
        self._heard[key] = (heartbeat, self._monotonic())
        while len(self._heard) > MAX_MEMBERS:
            del self._heard[next(iter(self._heard))]

    async def _receive(self, message: Msg) -> None:
        try:
            heartbeat = Heartbeat.from_bytes(message.data)
        except WaggleError as error:
            log.debug("not a heartbeat", subject=message.subject, reason=str(error))
            return
        if message.subject == subjects.health(heartbeat.service, heartbeat.instance):
            self.hear(heartbeat)
