"""How much may be taken away within a window, by the operator's own count, whatever a command says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts.recovery import RecoveryCommand
from workers.operator.errors import Refusal, RefusedError
from workers.operator.record import Begun, takes

WINDOW: Final = timedelta(seconds=60)
ONE_IN: Final = 5
"""One instance, or one in five (20 %) where there are more: of a service, and of all that run."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """How many running instances a command takes away, of how many of its service and in all."""

    taken: int = 0
    of_service: int = 0
    of_all: int = 0


NOTHING_TAKEN: Final = Footprint()


def require_within_radius(
    command: RecoveryCommand, footprint: Footprint, begun: Sequence[Begun], *, now: datetime
) -> None:
    """Raises `RefusedError` when with what was begun within the window too much would be taken away.

    The same instance again counts once: how often that may be is the observer's to say.
    """
    if not footprint.taken:
        return
    recent = [each for each in begun if each.at > now - WINDOW and each.takes != takes(command)]
    service = command.target.service
    of_service = _taken(each for each in recent if each.service == service)
    _require(footprint.taken, of_service, footprint.of_service, f"instances of {service}")
    _require(footprint.taken, _taken(recent), footprint.of_all, "instances")


def _taken(begun: Iterable[Begun]) -> int:
    return sum({each.takes: each.taken for each in begun}.values())


def _require(taken: int, before: int, running: int, what: str) -> None:
    allowed = max(1, running // ONE_IN)
    if taken + before > allowed:
        raise RefusedError(
            Refusal.BLAST_RADIUS,
            f"{before} of {running} {what} were taken away within {WINDOW.total_seconds():.0f} s, and {taken} more would be too "
            f"many: {allowed} may be",
        )
