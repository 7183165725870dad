"""A platform in memory: what runs is a list, and what was asked of it is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from contracts.platform_errors import OutOfBoundsError
from contracts.platforms import Instance, InstanceState, Scaled
from deploy.platforms.slots import at_work, plan, require_as_seen
from deploy.platforms.targets import require_known

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def slots(service: str, *, running: int, of: int | None = None) -> list[Instance]:
    """`of` slots of a service, the first ones running since long ago."""
    return [
        Instance(
            service=service,
            instance=f"{service}-{n}",
            state=InstanceState.RUNNING if n <= running else InstanceState.STOPPED,
            pid=1000 + n if n <= running else None,
            since=LONG_AGO,
        )
        for n in range(1, (of or running) + 1)
    ]


class MemoryPlatform:
    """`changes` are what was done, `patience_s` is that of the last restart. A change sets `began`, fails with `error` if there is one, and waits for `go_on`."""

    def __init__(self, *instances: Instance) -> None:
        self.instances = {each.instance: each for each in instances}
        self.changes: list[str] = []
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.error: Exception | None = None
        self.patience_s: float | None = None

    def set(self, instance: str, **changes: object) -> None:
        self.instances[instance] = replace(self.instances[instance], **changes)  # type: ignore[arg-type]

    async def list(self) -> tuple[Instance, ...]:
        return tuple(self.instances.values())

    async def start(self, instance: str) -> Instance:
        return await self._run(instance, f"start {instance}")

    async def stop(self, instance: str) -> Instance:
        self._known(instance)
        self.changes.append(f"stop {instance}")
        self.set(instance, state=InstanceState.STOPPED, pid=None)
        return self.instances[instance]

    async def restart(
        self, instance: str, *, seen: Instance | None = None, patience_s: float | None = None
    ) -> Instance:
        self.patience_s = patience_s
        return await self._run(instance, f"restart {instance}", seen)

    async def scale(self, service: str, replicas: int) -> Scaled:
        await self._hold()
        own = [each for each in self.instances.values() if each.service == service]
        if not 1 <= replicas <= len(own):
            raise OutOfBoundsError(f"{service} may have 1 to {len(own)}, not {replicas}.", least=1, most=len(own))
        self.changes.append(f"scale {service} {replicas}")
        todo = plan(own, replicas)
        for instance in todo.start:
            self.set(instance, state=InstanceState.RUNNING, pid=2000)
        for instance in todo.stop:
            self.set(instance, state=InstanceState.STOPPED, pid=None)
        return Scaled(
            service=service, before=sum(map(at_work, own)), after=replicas, started=todo.start, stopped=todo.stop
        )

    async def logs_tail(self, instance: str, lines: int) -> tuple[str, ...]:
        self._known(instance)
        return (f"{instance} says its last words",)[:lines]

    async def stacks(self, instance: str) -> str:
        self._known(instance)
        return f"stacks of {instance}"

    async def _run(self, instance: str, change: str, seen: Instance | None = None) -> Instance:
        self._known(instance)
        await self._hold()
        if seen is not None:
            require_as_seen(self.instances[instance], seen)
        self.changes.append(change)
        self.set(instance, state=InstanceState.RUNNING, pid=(self.instances[instance].pid or 0) + 1)
        return self.instances[instance]

    async def _hold(self) -> None:
        self.began.set()
        if self.error is not None:
            raise self.error
        await self.go_on.wait()

    def _known(self, instance: str) -> None:
        require_known(instance, self.instances, what="instance", never={"nats"})
