"""Has more or fewer processes of a service run, within the platform's bounds."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.platforms import Instance
from contracts.recovery import OPERATOR, RecoveryCommand
from workers.operator.actions.base import Action, Done
from workers.operator.actions.refusing import platform_refusals
from workers.operator.blast_radius import NOTHING_TAKEN, Footprint
from workers.operator.errors import Refusal, RefusedError
from workers.operator.fleet import AT_WORK, LiveFleet


class ScaleUp(Action):
    """Never stops anything."""

    deadline_s = 120.0

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet

    async def check(self, command: RecoveryCommand) -> Footprint:
        running = _at_work(command, await self._fleet.instances())
        if len(running) > _wanted(command):
            raise RefusedError(
                Refusal.CHANGED,
                f"{len(running)} of {command.target.service} run already, {_wanted(command)} would be fewer",
            )
        return NOTHING_TAKEN

    async def do(self, command: RecoveryCommand) -> Done:
        return await _scaled(self._fleet, command)


class ScaleDown(Action):
    """Never takes the last one that is ready, and never starts anything."""

    deadline_s = 120.0

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet

    async def check(self, command: RecoveryCommand) -> Footprint:
        instances = await self._fleet.instances()
        running, wanted = _at_work(command, instances), _wanted(command)
        if len(running) < wanted:
            raise RefusedError(
                Refusal.CHANGED, f"only {len(running)} of {command.target.service} run, {wanted} would be more"
            )
        ready = await self._fleet.ready(command.target.service)
        staying = [each.instance for each in running[:wanted]]  # platforms stop the last ones
        if len(running) > wanted and ready.isdisjoint(staying):
            raise RefusedError(
                Refusal.OUT_OF_BOUNDS, f"none of those that would stay ({', '.join(staying) or 'none'}) is ready"
            )
        everything = sum(each.state in AT_WORK and each.service != OPERATOR for each in instances)
        return Footprint(taken=len(running) - wanted, of_service=len(running), of_all=everything)

    async def do(self, command: RecoveryCommand) -> Done:
        return await _scaled(self._fleet, command)


def _wanted(command: RecoveryCommand) -> int:
    assert command.replicas is not None  # the contract of both commands
    return command.replicas


def _at_work(command: RecoveryCommand, instances: Sequence[Instance]) -> list[Instance]:
    """Those of the service that run, in the order of their slots."""
    service = command.target.service
    if command.target.name != service:
        raise RefusedError(Refusal.UNKNOWN_TARGET, f"{command.target.name} is not the service {service}")
    if service == OPERATOR:
        raise RefusedError(Refusal.FORBIDDEN_TARGET, "operators are never acted upon")
    slots = [each for each in instances if each.service == service]
    if not slots:
        known = ", ".join(sorted({each.service for each in instances}))
        raise RefusedError(Refusal.UNKNOWN_TARGET, f"the platform runs no {service}; there are: {known or 'none'}")
    return [each for each in slots if each.state in AT_WORK]


async def _scaled(fleet: LiveFleet, command: RecoveryCommand) -> Done:
    with platform_refusals():
        scaled = await fleet.platform.scale(command.target.service, _wanted(command))
    changes = [f"started {', '.join(scaled.started)}"] if scaled.started else []
    changes += [f"stopped {', '.join(scaled.stopped)}"] if scaled.stopped else []
    return Done(
        detail=f"{scaled.service}: {scaled.before} → {scaled.after}; {', '.join(changes) or 'it was so already'}",
        replicas=scaled.after if changes else None,
    )
