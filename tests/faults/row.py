"""A row of the table of faults: what is broken, what counts as passed, and how it went."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from tests.faults.scale import SCALED, Scale
from tests.faults.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a row is to be run. `runs` is the number of kills for the row that counts them; `say` tells of progress."""

    seed: int = 1
    scale: Scale = SCALED
    runs: int = 24
    say: Callable[[str], None] = lambda _: None

    def random(self, row: str) -> random.Random:
        """A source of its own for each row, so that a row alone does what it does among others."""
        return random.Random(f"{self.seed}/{row}")


class NotPossibleHere(Exception):  # noqa: N818 (nothing failed)
    """This machine does not permit what a row needs; the message says what. The row then counts neither way."""


@dataclass(kw_only=True)
class Outcome:
    """What a row came to. `problems` are breaches of its own pass line, beside those of the oracle. `not_run`: why it was
    not tried at all.

    Recovery times in seconds: `messages_s` until what a struck process had in hand was done, `new_work_s` until work
    that was handed in after it was done; `back_s` until clients were served again.
    """

    verdict: Verdict = field(default_factory=Verdict)
    kills: int = 0
    messages_s: list[float] = field(default_factory=list)
    new_work_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    not_run: str = ""

    def require(self, holds: object, problem: str) -> None:
        """Remember a problem unless something holds."""
        if not holds:
            self.problems.append(problem)

    @property
    def recoveries_s(self) -> list[float]:
        return [*self.messages_s, *self.new_work_s, *self.back_s]


class Row(ABC):
    """One fault. `number` is that of the reliability plan; rows beyond it have none."""

    number: ClassVar[str] = ""
    name: ClassVar[str]
    fault: ClassVar[str]
    passes: ClassVar[str]

    @abstractmethod
    async def run(self, trial: Trial) -> Outcome:
        """Break it on a stack of its own, and look."""

    def passed(self, outcome: Outcome) -> bool:
        return outcome.verdict.clean and not outcome.problems


class Control(Row):
    """A run without a safeguard, in which the oracle must report the breach named `sees`."""

    sees: ClassVar[str]

    def passed(self, outcome: Outcome) -> bool:
        return bool(getattr(outcome.verdict, self.sees)) and not outcome.problems
