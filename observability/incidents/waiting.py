"""Which decisions still wait for a person's answer."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.recovery import RecoveryDecision, Verdict


def successor(asked: RecoveryDecision, decisions: Sequence[RecoveryDecision]) -> RecoveryDecision | None:
    """What took the place of a decision, of all about its incident in their order; None: nothing did.

    That is a later one about the same rung and target, or one to act. Others leave it: what waits is told once, and what stands in
    the way of another target may be told anew meanwhile.
    """
    places = [place for place, each in enumerate(decisions) if each.id == asked.id]
    later = decisions[places[-1] + 1 :] if places else ()
    return next(
        (
            each
            for each in later
            if each.verdict is Verdict.ACT or (each.rung, each.target) == (asked.rung, asked.target)
        ),
        None,
    )
