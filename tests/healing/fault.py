"""What every fault of the campaign is: how it is brought about, what is to come of it, and what came of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from contracts.diagnoses import Cause, RecommendedAction
from tests.healing.site import Setup, Site

USUAL = Setup()


class Repairer(StrEnum):
    """Who is to make it well again."""

    PLATFORM = "platform"
    OPERATOR = "operator"
    ITSELF = "itself"
    """What is broken, or what uses it, gets over it."""
    CAMPAIGN = "campaign"
    """Nobody can: it is taken back after a while."""


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What was broken: `named` are the components or instances of which one is to be named, `targets` what may be acted upon."""

    what: str
    named: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    """What may be named besides: it was broken on the way."""
    targets: frozenset[str] = frozenset()
    pid: int = 0
    at: datetime | None = None
    """When it was broken, where that took some preparing; None: from the beginning."""


class Fault(ABC):
    """One kind of fault. Without a `cause` nothing is to be named, and without `actions` nothing done."""

    name: ClassVar[str]
    fault: ClassVar[str]
    passes: ClassVar[str]
    setup: ClassVar[Setup] = USUAL
    repairer: ClassVar[Repairer]
    cause: ClassVar[Cause | None] = None
    besides: ClassVar[frozenset[Cause]] = frozenset()
    """Causes that may be named as well: they are there."""
    actions: ClassVar[frozenset[RecommendedAction]] = frozenset()
    most_actions: ClassVar[int] = 1
    """On each target."""
    blind: ClassVar[bool] = False
    """Whether the observer cannot know, and has to do nothing."""
    detect_within_s: ClassVar[float] = 15.0
    repair_within_s: ClassVar[float] = 30.0
    hold_s: ClassVar[float] = 0.0
    """How long it lasts where nobody repairs it, or how long it is looked at that nothing is done."""
    lonely: ClassVar[bool] = False
    """Whether it leaves something behind for minutes, so that it needs a stack of its own."""
    clouds: ClassVar[bool] = False
    """Whether it makes everybody silent: what is struck within a minute of it is the same incident, so nothing follows it."""
    returns: ClassVar[bool] = False
    """Whether what was done for a while has to be taken back by who did it, once the fault was."""

    @abstractmethod
    async def strike(self, site: Site) -> Struck:
        """Break it."""

    async def detected(self, site: Site, struck: Struck) -> bool:
        """Whether the platform has noticed; what the observer has is read from its diagnoses."""
        return True

    @abstractmethod
    async def mended(self, site: Site, struck: Struck) -> bool:
        """Whether all is well again, looked at from outside."""

    async def relieve(self, site: Site, struck: Struck) -> None:  # noqa: B027 (most need nothing)
        """Take back what does not go by itself."""

    async def returned(self, site: Site, struck: Struck) -> bool:
        """Whether what was done for a while was taken back."""
        return True


@dataclass(kw_only=True)
class Line:
    """A fault and how it went. Times are in seconds: `detected_s` since it was struck, `repaired_s` since it was detected."""

    fault: Fault
    what: str = ""
    detected_s: float | None = None
    repaired_s: float | None = None
    cause_right: bool = False
    causes: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def repairable(self) -> bool:
        return self.fault.repairer is not Repairer.CAMPAIGN

    @property
    def passed(self) -> bool:
        return not self.problems

    def require(self, holds: object, problem: str) -> None:
        """Remember a problem unless something holds."""
        if not holds:
            self.problems.append(problem)
