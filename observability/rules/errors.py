"""What can be wrong with rules.

WaggleError
├── RuleFileError        a file that is refused as a whole: `faults` say where and why
└── RuleEvaluationError  a rule that failed this time: its state stays as it was
    └── LimitExceededError  more series or alerts than the group allows: Prometheus then forgets the rule's alerts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import WaggleError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file. Lines count from 1."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class RuleFileError(WaggleError):
    """The file is refused as a whole; whatever was loaded before stays as it is."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file, fault.line)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class RuleEvaluationError(WaggleError):
    """A rule could not be evaluated at this time."""


class LimitExceededError(RuleEvaluationError):
    """A rule yielded more than its group's `limit`."""
