"""What can go wrong between a diagnosis and an order.

WaggleError
├── PolicyError            the policy file cannot be used; names file, line and reason
└── SituationChangedError  what was decided cannot be ordered any more
"""

from __future__ import annotations

from contracts.errors import PermanentError, WaggleError


class PolicyError(PermanentError):
    """The file cannot be used, as a whole; what was in force before stays so."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SituationChangedError(WaggleError):
    """What was decided does not fit what is there now: nothing is ordered; decide again."""
