"""What was decided, done and verified: restored from the events in the stream OPS, in any order and however often."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts.diagnoses import RecommendedAction
from contracts.identifiers import derived_id
from contracts.recovery import (
    CommandOutcome,
    RecoveryApproval,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Safeguard,
    Target,
    Verdict,
    Verified,
)
from observability.recovery.kept import Kept

MOST_KEPT: Final = 1000
"""Of each kind of event; the oldest go first. Decisions to act have room of their own: no other may push them out."""

REMEMBERED: Final = timedelta(days=1)
"""How far back the past is known to whoever leads next: no cooldown, budget or window is longer."""

Event = RecoveryDecision | RecoveryResult | RecoveryVerification | RecoveryApproval


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A decision to act, and what became of it so far."""

    decision: RecoveryDecision
    result: RecoveryResult | None
    verification: RecoveryVerification | None
    """The last one of its command."""

    @property
    def target(self) -> Target:
        assert self.decision.target is not None
        return self.decision.target

    @property
    def at(self) -> datetime:
        """When it was done, as far as that is known."""
        return self.decision.created_at if self.result is None else self.result.created_at

    @property
    def outcome(self) -> CommandOutcome | None:
        return None if self.result is None else self.result.outcome

    @property
    def verified(self) -> Verified | None:
        return None if self.verification is None else self.verification.verified

    @property
    def is_open(self) -> bool:
        """Whether it may still help."""
        if self.outcome in {CommandOutcome.REFUSED, CommandOutcome.FAILED}:
            return False
        return self.verified in {None, Verified.UNKNOWN}

    @property
    def is_return(self) -> bool:
        """Whether it takes an earlier one back."""
        return self.decision.returns is not None

    @property
    def was_refused(self) -> bool:
        """Nothing was done, so that it may be tried again."""
        return self.outcome is CommandOutcome.REFUSED


class Past:
    """At most `most` of each kind. Not safe for several threads."""

    def __init__(self, *, most: int = MOST_KEPT) -> None:
        self._most = most
        self._acts = Kept[RecoveryDecision](most, group=lambda event: event.incident)
        self._others = Kept[RecoveryDecision](most, group=lambda event: event.incident)
        self._results = Kept[RecoveryResult](most, group=lambda event: event.incident)
        self._verifications = Kept[RecoveryVerification](most, group=lambda event: event.incident)
        self._approvals = Kept[RecoveryApproval](most, group=lambda event: event.decision)
        self._actions: tuple[Action, ...] | None = None

    def take(self, event: Event) -> None:
        """Take note of an event. Of several results of a command, or answers to a decision, the first counts."""
        if isinstance(event, RecoveryDecision) and event.verdict is not Verdict.ACT:
            self._others.take(event.id, event)
            return
        self._actions = None
        if isinstance(event, RecoveryDecision):
            self._acts.take(event.id, event)
        elif isinstance(event, RecoveryResult):
            # What was captured is for people, and 128 KiB each time.
            self._results.take(event.decision, event.model_copy(update={"captured": ""}))
        elif isinstance(event, RecoveryVerification):
            self._verifications.take(event.id, event)
        else:
            self._approvals.take(event.decision, event)

    def copy(self) -> Past:
        other = Past(most=self._most)
        for name in ("_acts", "_others", "_results", "_verifications", "_approvals"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def without(self, acts: Collection[str]) -> Past:
        """A copy as if these, by the ids of their decisions, had not been decided."""
        other = self.copy()
        for decision in acts:
            other.drop(decision)
        return other

    def drop(self, act: str) -> None:
        """Forget a decision to act."""
        self._acts.drop(act)
        self._actions = None

    def actions(self, where: Callable[[Action], bool] = lambda _: True) -> list[Action]:
        """Everything that was ordered, oldest first."""
        if self._actions is None:
            self._actions = tuple(map(self._action, self._acts.all()))
        return [action for action in self._actions if where(action)]

    def of_incident(self, incident: str) -> list[Action]:
        return [self._action(decision) for decision in self._acts.of(incident)]

    def last(self, target: Target, action: RecommendedAction) -> Action | None:
        found = self.actions(lambda each: each.target.key == target.key and each.decision.action is action)
        return found[-1] if found else None

    def since(self, moment: datetime) -> list[Action]:
        """What was ordered, and not refused, at `moment` or later."""
        return self.actions(lambda each: each.at >= moment and not each.was_refused)

    def streak(self, target: Target, *, reset_after: timedelta, now: datetime) -> list[Action]:
        """The actions on a target since it was last well for `reset_after`, oldest first."""
        streak: list[Action] = []
        for action in self.actions(lambda each: each.target.key == target.key):
            if streak and self._was_well(streak, until=action.at, for_=reset_after):
                streak = []
            streak.append(action)
        return [] if streak and self._was_well(streak, until=now, for_=reset_after) else streak

    def decisions(self, incident: str) -> list[RecoveryDecision]:
        """All that was told of an incident, oldest first."""
        return sorted(
            (*self._acts.of(incident), *self._others.of(incident)), key=lambda each: (each.created_at, each.id)
        )

    def told_of_return(self, act: str) -> list[RecoveryDecision]:
        """What was told about taking back an action, by the id of its decision, without having been ordered."""
        return [each for each in self._others.all() if each.returns == act]

    def incidents(self) -> list[str]:
        return sorted({*self._acts.groups(), *self._others.groups()})

    def verifications(self, incident: str) -> list[RecoveryVerification]:
        return self._verifications.of(incident)

    def recovered_at(self, incident: str) -> datetime | None:
        """When it was last found to be over, if nothing was decided since."""
        found = self.verifications(incident)
        if not found or found[-1].verified is not Verified.RECOVERED:
            return None
        decided = self.decisions(incident)
        over = found[-1].created_at
        return None if decided and decided[-1].created_at > over else over

    def withheld(self, target: str, safeguard: Safeguard, *, since: datetime) -> bool:
        """Whether a safeguard has withheld anything but a return from a target, by its key, at `since` or later."""
        return any(
            each.safeguard is safeguard
            and each.returns is None
            and each.target is not None
            and each.target.key == target
            for each in self._others.all()
            if each.created_at >= since
        )

    def approval(self, decision: str) -> RecoveryApproval | None:
        return self._approvals.get(decision)

    def _was_well(self, streak: list[Action], *, until: datetime, for_: timedelta) -> bool:
        ends = [self.recovered_at(incident) for incident in {each.decision.incident for each in streak}]
        return all(end is not None and until - end >= for_ for end in ends)

    def _action(self, decision: RecoveryDecision) -> Action:
        command = command_id(decision.id)
        verified = [each for each in self._verifications.of(decision.incident) if each.command == command]
        return Action(
            decision=decision,
            result=self._results.get(decision.id),
            verification=verified[-1] if verified else None,
        )


def command_id(decision: str) -> str:
    """Of the one command that a decision leads to."""
    return derived_id("command", decision)
