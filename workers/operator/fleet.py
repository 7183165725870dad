"""How the fleet is now: what the platform runs, and what the processes themselves say."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from contracts.health import HEARTBEAT_INTERVAL_S, Heartbeat, ProcessState
from contracts.platform_errors import PlatformAwayError
from contracts.platforms import Instance, InstanceState, Platform
from messaging.fleet import FleetView
from workers.operator.errors import Refusal, RefusedError

LISTEN_S: Final = HEARTBEAT_INTERVAL_S + 0.5
"""After so long every process that lives was heard of."""

AT_WORK: Final = frozenset({InstanceState.RUNNING, InstanceState.RESTARTING})


class LiveFleet:
    """`platform` is None where there is none."""

    def __init__(self, view: FleetView, platform: Platform | None, *, listen_s: float = LISTEN_S) -> None:
        self._view = view
        self._platform = platform
        self._known_at = time.monotonic() + listen_s

    @property
    def platform(self) -> Platform:
        """Raises `RefusedError` where there is none."""
        if self._platform is None:
            raise RefusedError(
                Refusal.NO_PLATFORM,
                "this operator has no platform that starts and stops processes: have the operator of the stack do it, or do it "
                "where the processes are run",
            )
        return self._platform

    async def instances(self) -> tuple[Instance, ...]:
        """What the platform runs and may run. Raises `RefusedError` where nothing can be started or stopped."""
        try:
            return await self.platform.list()
        except PlatformAwayError as error:
            raise RefusedError(Refusal.NO_PLATFORM, str(error)) from error

    async def alive(self, service: str) -> list[Heartbeat]:
        """The newest heartbeats of the processes of a service that are not silent."""
        await asyncio.sleep(max(0.0, self._known_at - time.monotonic()))
        beats = [member.heartbeat for member in self._view.members() if member.alive]
        return [beat for beat in beats if beat.service == service]

    async def heard(self, service: str, instance: str) -> Heartbeat | None:
        """The newest heartbeat of one process, None when it is silent."""
        return next((beat for beat in await self.alive(service) if beat.instance == instance), None)

    async def ready(self, service: str) -> frozenset[str]:
        """The instances of a service that say they are ready."""
        return frozenset(beat.instance for beat in await self.alive(service) if beat.state is ProcessState.READY)
