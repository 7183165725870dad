"""Which instances start and stop for a service to have a number of them, and which are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.platform_errors import InstanceChangedError
from contracts.platforms import Instance, InstanceState

_AT_WORK = frozenset({InstanceState.RUNNING, InstanceState.RESTARTING})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`start` in the order of the slots, `stop` from the last one back."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()


def plan(slots: Sequence[Instance], replicas: int) -> Plan:
    """What makes `replicas` of `slots`, in their order, run. One that failed does not count as running: it is started again."""
    running = [slot.instance for slot in slots if at_work(slot)]
    free = [slot.instance for slot in slots if not at_work(slot)]
    missing = replicas - len(running)
    if missing > 0:
        return Plan(start=tuple(free[:missing]))
    return Plan(stop=tuple(reversed(running[replicas:])))


def at_work(slot: Instance) -> bool:
    """Whether it runs, or is about to again."""
    return slot.state in _AT_WORK


def has_run(slot: Instance) -> bool:
    """Whether it runs or did, in this run of its platform; a slot in reserve did not."""
    return slot.state is not InstanceState.STOPPED or slot.since is not None


def require_as_seen(found: Instance, seen: Instance) -> None:
    """Raises `InstanceChangedError` unless state and process are those that were seen."""
    if (found.state, found.pid) == (seen.state, seen.pid):
        return
    raise InstanceChangedError(
        f"{found.instance} is {found.state.value} as process {found.pid or 'none'} by now, and was {seen.state.value} as "
        f"process {seen.pid or 'none'}: look at it, and decide again. Nothing was changed."
    )
