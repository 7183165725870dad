"""What runs the instances of services: how they are listed, started, stopped and counted, whoever does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class InstanceState(StrEnum):
    """How an instance is, as its platform sees it; whether it is ready it says itself, in its heartbeats."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """On purpose, or never started. It is not expected to run."""
    RESTARTING = "restarting"
    """It ended, and the platform is about to start it again."""
    FAILED = "failed"
    """It ended so often that the platform gave it up."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance of a service. `instance` is the id that its heartbeats carry, unique in the fleet."""

    service: str
    instance: str
    state: InstanceState
    pid: int | None = None
    since: datetime | None = None
    """When it started, or ended if it does not run."""
    exit_code: int | None = None
    """With which it ended last; None if it never did, or was ended by a signal."""
    reason: str = ""
    """How it ended last, such as `terminated by SIGKILL`."""
    restarts: int = 0
    """How often the platform started it again by itself."""


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What became of a service: how many ran `before` and run `after`, and which were `started` and `stopped`."""

    service: str
    before: int
    after: int
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


class Platform(Protocol):
    """Whoever runs the instances: supervisord on this host, and others to come.

    A target is one id, written out: an empty one or a pattern raises `NotATargetError`, and so does the broker, which is
    never touched. What is as wanted already is left alone, so every call may be repeated. Every call ends in a bounded
    time: `ChangeTimeoutError` when a change takes longer, `PlatformAwayError` when nobody answers. An instance that was
    started runs; it is not waited for until it is ready.
    """

    async def list(self) -> tuple[Instance, ...]:
        """Every instance that runs or may be started, ordered by service and number."""
        ...

    async def start(self, instance: str) -> Instance:
        """Have it run. Raises `UnknownTargetError`."""
        ...

    async def stop(self, instance: str) -> Instance:
        """Let it finish what it has in hand, and end; it stays stopped.

        Raises `UnknownTargetError`, and `OutOfBoundsError` for the last instance of a service that must not be missing.
        """
        ...

    async def restart(
        self, instance: str, *, seen: Instance | None = None, patience_s: float | None = None
    ) -> Instance:
        """Stop and start it; one that does not run is started. Broken off in between, it stays stopped: call it again.

        With `seen` only if its state and process are still those. What has not ended after `patience_s` is killed; without
        it, as late as when it is stopped. Raises `UnknownTargetError` and `InstanceChangedError`.
        """
        ...

    async def scale(self, service: str, replicas: int) -> Scaled:
        """Have `replicas` instances run: the first ones that do not are started, or the last ones that do are stopped.

        Raises `UnknownTargetError` and `OutOfBoundsError`.
        """
        ...

    async def logs_tail(self, instance: str, lines: int) -> tuple[str, ...]:
        """The last `lines` lines that it wrote, 1000 at most. Raises `UnknownTargetError`."""
        ...

    async def stacks(self, instance: str) -> str:
        """What every thread of it is doing, also while it hangs; where that cannot be told, why. Raises `UnknownTargetError`."""
        ...
