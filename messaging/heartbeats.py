"""A process tells the fleet every few seconds who it is and how it does.

Plain NATS, not stored: a late heartbeat is worth nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import metadata

import nats.errors
import psutil
import structlog

from contracts import subjects
from contracts.health import HEARTBEAT_INTERVAL_S, Heartbeat, ProcessState
from contracts.settings import ProcessSettings
from messaging.activity import Activity
from messaging.broker import Broker
from messaging.checks import Checks

log = structlog.get_logger(__name__)


def release() -> str:
    """The version of Waggle that runs."""
    try:
        return metadata.version("waggle-rag")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


class HeartbeatPublisher:
    """Publishes this process's heartbeat every `interval_s`; times in it are the broker's."""

    def __init__(
        self,
        broker: Broker,
        *,
        service: str,
        settings: ProcessSettings,
        activity: Activity,
        checks: Checks,
        state: Callable[[], ProcessState],
        facts: Callable[[], Mapping[str, str]] = dict,
        interval_s: float = HEARTBEAT_INTERVAL_S,
    ) -> None:
        self._broker = broker
        self._service = service
        self._settings = settings
        self._activity = activity
        self._checks = checks
        self._state = state
        self._facts = facts
        self._interval_s = interval_s
        self._subject = subjects.health(service, settings.instance)
        self._process = psutil.Process()
        self._started_at = broker.clock.now()
        self._host = socket.gethostname()
        self._version = release()

    async def run(self) -> None:
        """Publish until cancelled. While the broker is away heartbeats are dropped, not kept."""
        while True:
            await self.publish()
            await asyncio.sleep(self._interval_s)

    async def publish(self) -> None:
        """Publish one heartbeat now, if connected."""
        if not self._broker.is_connected:
            return
        try:
            await self._broker.nc.publish(self._subject, self.current().to_bytes())
        except nats.errors.Error as error:
            log.debug("heartbeat not sent", reason=str(error))

    def current(self) -> Heartbeat:
        """The heartbeat of this moment."""
        now = self._broker.clock.now()
        ago_s = self._activity.last_progress_ago_s
        cpu = self._process.cpu_times()
        return Heartbeat(
            created_at=now,
            service=self._service,
            instance=self._settings.instance,
            host=self._host,
            version=self._version,
            track=self._settings.track,
            pid=os.getpid(),
            started_at=self._started_at,
            state=self._state(),
            in_flight=self._activity.in_flight,
            oldest_in_flight_s=self._activity.oldest_in_flight_s,
            progress=self._activity.progress,
            last_progress_at=None if ago_s is None else now - timedelta(seconds=ago_s),
            rss_bytes=self._process.memory_info().rss,
            cpu_s=cpu.user + cpu.system,
            checks=self._checks.results,
            facts=dict(self._facts()),
        )
