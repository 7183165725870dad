"""What an action is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from contracts.recovery import RecoveryCommand
from workers.operator.blast_radius import Footprint


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was done, in numbers, and what was kept of the target before."""

    detail: str
    captured: str = ""
    replicas: int | None = None
    """How many of a service run since then."""


class Action(ABC):
    """One kind of remedy. `deadline_s` is how long doing it may take."""

    deadline_s: float

    @abstractmethod
    async def check(self, command: RecoveryCommand) -> Footprint:
        """Look at how things are now; what would be taken away. Raises `RefusedError` when it is not to be done."""

    @abstractmethod
    async def do(self, command: RecoveryCommand) -> Done:
        """Do it. Raises `RefusedError` when nothing was done after all; after another error it may have been done in part."""

    async def settle(self, command: RecoveryCommand, began_at: datetime) -> str:
        """See to it that one that was broken off, and is not done again, leaves nothing half done; in words what was found."""
        return "what is so now tells"
