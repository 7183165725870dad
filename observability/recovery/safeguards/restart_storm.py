"""Doing the same thing again and again makes it worse: after a few times a person is called."""

from __future__ import annotations

from datetime import timedelta

from contracts.recovery import Safeguard
from observability.recovery.past import Action, Past
from observability.recovery.policy import Budget
from observability.recovery.proposal import Objection, Proposal, Then
from observability.recovery.situation import Situation


class RestartStorm:
    """At most `actions` on a target within `window`, with doubling delays between them, counted until it was well again."""

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        budget = proposal.step.budget
        streak = past.streak(proposal.target, reset_after=budget.reset_after, now=proposal.now)
        if not streak:
            return None
        if _is_used_up(streak, budget):
            why = f"{proposal.target.name} was acted upon {len(streak)} times, and is not well"
            return Objection(safeguard=Safeguard.RESTART_STORM, why=why, then=Then.CALL_PERSON)
        until = streak[-1].at + delay(budget, after=len(streak))
        if proposal.now >= until:
            return None
        why = f"{proposal.target.name} was acted upon {len(streak)} times already"
        return Objection(safeguard=Safeguard.RESTART_STORM, why=why, until=until)


def delay(budget: Budget, *, after: int) -> timedelta:
    """Between an action and the next one, after so many of them."""
    doublings = min(after - 1, 20)  # by then any longest delay is reached
    return min(budget.first_delay * float(2**doublings), budget.longest_delay)


def _is_used_up(streak: list[Action], budget: Budget) -> bool:
    """Whether there were too many in one window, ever since it was last well."""
    ends = zip(streak, streak[budget.actions - 1 :], strict=False)
    return any(last.at - first.at <= budget.window for first, last in ends)
