"""Restarts one instance, after what tells why it was wrong is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from contracts.health import PROGRESS_CHECK, CheckStatus, ProcessState
from contracts.platforms import Instance, InstanceState
from contracts.recovery import OPERATOR, RecoveryCommand
from workers.operator.actions.base import Action, Done
from workers.operator.actions.refusing import platform_refusals
from workers.operator.blast_radius import Footprint
from workers.operator.errors import Refusal, RefusedError
from workers.operator.evidence import EvidenceCapture
from workers.operator.fleet import AT_WORK, LiveFleet

RESOLUTION: Final = timedelta(seconds=1)
"""Platforms know to the second when a process began."""

_LEFT_ALONE: Final = {
    InstanceState.STOPPED: "somebody stopped it",
    InstanceState.STOPPING: "it is being stopped",
    InstanceState.RESTARTING: "the platform is about to start it again by itself",
}
_ON_PURPOSE: Final = {
    ProcessState.DRAINING: "it finishes what it has in hand, and ends",
    ProcessState.PAUSED: "somebody paused it",
}


HUNG_PATIENCE_S: Final = 3.0
"""How long a process may take to end that is silent, or does nothing: it has hardly anything to finish."""


class RestartService(Action):
    """An instance that is another process than the evidence is of, or that somebody works on, is left alone."""

    deadline_s = 150.0
    """One that works has its time to drain; other changes of the platform may be waited for before."""

    def __init__(self, fleet: LiveFleet, evidence: EvidenceCapture) -> None:
        self._fleet = fleet
        self._evidence = evidence

    async def check(self, command: RecoveryCommand) -> Footprint:
        instances = await self._fleet.instances()
        target = _target(command, instances)
        _require_same(command, target)
        heard = await self._fleet.heard(target.service, target.instance)
        if heard is not None and heard.state in _ON_PURPOSE:
            raise RefusedError(Refusal.CHANGED, f"{target.instance} is left alone: {_ON_PURPOSE[heard.state]}")
        running = [each for each in instances if each.state in AT_WORK and each.service != OPERATOR]
        return Footprint(
            taken=1, of_service=sum(each.service == target.service for each in running), of_all=len(running)
        )

    async def do(self, command: RecoveryCommand) -> Done:
        captured = await self._evidence.capture(command.target, because=command.reason)
        instances = await self._fleet.instances()
        before = _target(command, instances)
        _require_same(command, before)  # keeping the evidence took a while
        patience_s = HUNG_PATIENCE_S if await self._hangs(before) else None
        with platform_refusals():
            after = await self._fleet.platform.restart(command.target.name, seen=before, patience_s=patience_s)
        return Done(
            detail=f"{after.instance} was restarted: process {before.pid or 'none'} → {after.pid or 'none'}",
            captured=captured,
        )

    async def _hangs(self, target: Instance) -> bool:
        """Whether it is silent, or says itself that it finishes nothing."""
        heard = await self._fleet.heard(target.service, target.instance)
        return heard is None or any(
            check.name == PROGRESS_CHECK and check.status is CheckStatus.FAILING for check in heard.checks
        )

    async def settle(self, command: RecoveryCommand, began_at: datetime) -> str:
        """A restart that is broken off between stop and start leaves its target stopped, as if somebody had wanted that."""
        found = _target(command, await self._fleet.instances())
        stopped = (
            found.state is InstanceState.STOPPED and found.since is not None and found.since + RESOLUTION >= began_at
        )
        if not stopped and found.state is not InstanceState.STOPPING:
            return f"{found.instance} was found {found.state.value}"
        with platform_refusals():
            started = await self._fleet.platform.start(found.instance)
        return f"{started.instance} was found {found.state.value}, and was started"


def _target(command: RecoveryCommand, instances: tuple[Instance, ...]) -> Instance:
    found = next((each for each in instances if each.instance == command.target.name), None)
    if found is None:
        known = ", ".join(each.instance for each in instances if each.service == command.target.service)
        raise RefusedError(
            Refusal.UNKNOWN_TARGET,
            f"the platform runs no {command.target.name}; of {command.target.service} there are: {known or 'none'}",
        )
    if found.service != command.target.service:
        raise RefusedError(
            Refusal.UNKNOWN_TARGET, f"{found.instance} is of {found.service}, not of {command.target.service}"
        )
    if found.service == OPERATOR:
        raise RefusedError(
            Refusal.FORBIDDEN_TARGET, "an operator is never acted upon: it would end in the middle of it"
        )
    return found


def _require_same(command: RecoveryCommand, target: Instance) -> None:
    """That it runs, as it did when the evidence was gathered."""
    if (why := _LEFT_ALONE.get(target.state)) is not None:
        raise RefusedError(Refusal.CHANGED, f"{target.instance} is left alone: {why}")
    if target.since is not None and target.since + RESOLUTION > command.evidence_at:
        raise RefusedError(
            Refusal.CHANGED,
            f"{target.instance} is {target.state.value} since {target.since:%H:%M:%S} UTC, and the evidence is older",
        )
