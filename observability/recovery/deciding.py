"""Decides what is done about what is wrong: pure, the same for the same input, and with a reason each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, RecommendedAction
from contracts.recovery import Mode, RecoveryCommand, RecoveryDecision, Target, Verdict
from observability.recovery.checks import replica_bounds
from observability.recovery.errors import SituationChangedError
from observability.recovery.judgement import OBSERVER, Judgement
from observability.recovery.past import Past, command_id
from observability.recovery.platform_watch import left_to_platform, missing
from observability.recovery.policy import Limits, Policy, Rung
from observability.recovery.proposal import Case, Objection, Proposal, Then
from observability.recovery.returning import returns
from observability.recovery.safeguards import SafeguardCheck, standard_safeguards
from observability.recovery.situation import Situation
from observability.recovery.targets import targets_of

MOST_CASES: Final = 200
"""Roots of one moment, the surest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """`news` are decisions that were not told, or have changed; `standing` is what holds about each root, new or told before."""

    news: tuple[RecoveryDecision, ...]
    standing: tuple[RecoveryDecision, ...]


class Decider:
    """Goes up the ladder of each root. Without `safeguards` all of them are asked."""

    def __init__(self, policy: Policy, safeguards: Sequence[SafeguardCheck] | None = None) -> None:
        self._policy = policy
        self._safeguards = tuple(standard_safeguards(policy.limits) if safeguards is None else safeguards)

    def decide(
        self, diagnoses: DiagnosesView, situation: Situation, past: Past, *, now: datetime, token: int
    ) -> list[RecoveryDecision]:
        """What is new: decisions that were told and have not changed are left out. `past` stays as it is.

        Tell all of them, and order those whose verdict is `act`. Consequences are left to their roots.
        """
        return list(self.judge(diagnoses, situation, past, now=now, token=token).news)

    def judge(
        self, diagnoses: DiagnosesView, situation: Situation, past: Past, *, now: datetime, token: int
    ) -> Decided:
        """As `decide`, with what holds about each root: the decision to act, while that may still help."""
        known, news, standing = past.copy(), list[RecoveryDecision](), list[RecoveryDecision]()
        for case in _cases(diagnoses, situation, now):
            holds = next((act.decision for act in known.of_incident(case.incident) if act.is_open), None)
            for judgement in () if holds else self._judge(case, situation, known):
                decision = judgement.decision(case, known, token=token)
                if decision is not None:
                    known.take(decision)  # what is decided next has to know
                    news.append(decision)
                holds = decision or judgement.told(case.incident, known)[-1]
            if holds is not None:
                standing.append(holds)
        for decision, is_new in self._taken_back(diagnoses, situation, known, now=now, token=token):
            standing.append(decision)
            if is_new:
                news.append(decision)
        return Decided(news=tuple(news), standing=tuple(standing))

    def command(
        self, decision: RecoveryDecision, situation: Situation, *, now: datetime, token: int
    ) -> RecoveryCommand:
        """The order that a decision leads to, unsigned. However often it is asked for, its id and its end are the same.

        Raises `SituationChangedError` when nothing fitting can be ordered any more.
        """
        if decision.verdict is not Verdict.ACT or decision.target is None:
            raise SituationChangedError(
                f"decision {decision.id} orders nothing: its verdict is {decision.verdict.value}"
            )
        expires_at = decision.created_at + self._policy.limits.command_expires
        if now >= expires_at:
            raise SituationChangedError(f"decision {decision.id} has expired: decide again")
        return RecoveryCommand(
            id=command_id(decision.id),
            decision=decision.id,
            incident=decision.incident,
            action=decision.action,
            target=decision.target,
            replicas=_replicas(decision.action, decision.target, situation, self._policy.limits),
            revision=_revision(decision.action, situation),
            standby=decision.returns is None if decision.action is RecommendedAction.FAILOVER else None,
            reason=decision.why,
            token=token,
            expires_at=expires_at,
            evidence_at=max(each.at for each in decision.evidence),
            created_at=now,
            principal=OBSERVER,
        )

    def _taken_back(
        self, diagnoses: DiagnosesView, situation: Situation, known: Past, *, now: datetime, token: int
    ) -> Iterator[tuple[RecoveryDecision, bool]]:
        """What holds about each action that is due to be taken back, and whether that is new; `known` learns of it."""
        for each in list(returns(self._policy, diagnoses, situation, known, now)):
            proposal = each.proposal
            if each.left:
                judgement = Judgement.of(
                    proposal, Verdict.OBSERVE, "Somebody has changed it since: it is left to them."
                )
            else:
                objection = self._objection(proposal, situation, known)
                waits = None if objection is None else replace(objection, then=Then.WAIT)  # there is no next rung
                judgement, _ = self._judged(proposal, waits, known)
            decision = judgement.decision(proposal.case, known, token=token)
            if decision is not None:
                known.take(decision)
                yield decision, True
            else:
                yield judgement.told(proposal.case.incident, known)[-1], False

    def _judge(self, case: Case, situation: Situation, past: Past) -> Iterator[Judgement]:
        acts = past.of_incident(case.incident)
        ladder = self._policy.ladder(case.cause)
        if not ladder:
            yield self._without_ladder(case)
            return
        if (watched := self._watched(case, situation)) is not None:
            yield watched
            return
        passed = list[str]()
        for rung in range(max((act.decision.rung for act in acts), default=0), len(ladder)):
            passed.append(f"{ladder[rung].action.value}: there is nothing (else) to do it to.")
            for judgement, then in self._climb(case, rung, ladder[rung], situation, past):
                yield judgement
                if then is Then.CALL_PERSON:
                    yield Judgement.call(len(ladder), judgement.why)
                if then is not Then.NEXT_RUNG:
                    return
                passed[-1] = judgement.why
        yield Judgement.call(len(ladder), _at_the_end([act.decision.action for act in acts], passed))

    def _climb(
        self, case: Case, rung: int, step: Rung, situation: Situation, past: Past
    ) -> Iterator[tuple[Judgement, Then]]:
        """Each target of a rung that it was not done to in vain; the first one that does not stand back ends it."""
        limits = self._policy.limits
        spent = {
            act.target.key
            for act in past.of_incident(case.incident)
            if act.decision.rung == rung and not act.was_refused and not step.repeat
        }
        for target in targets_of(step.action, case.diagnosis, situation, limits, case.now):
            if target.key not in spent:
                proposal = Proposal(case=case, rung=rung, step=step, target=target)
                objection = self._objection(proposal, situation, past)
                yield self._judged(proposal, objection, past)

    def _judged(self, proposal: Proposal, objection: Objection | None, past: Past) -> tuple[Judgement, Then]:
        """What comes of a step, and what follows from that."""
        if proposal.step.mode is Mode.OBSERVE:
            return Judgement.of(proposal, Verdict.OBSERVE, f"{_name(proposal)} is only observed."), Then.WAIT
        if objection is not None:
            return Judgement.withheld(proposal, objection), objection.then
        return self._permitted(proposal, past), Then.WAIT

    def _permitted(self, proposal: Proposal, past: Past) -> Judgement:
        """No safeguard objects: how far the policy lets it go."""
        mode = proposal.step.mode
        if mode is Mode.DRY_RUN:
            return Judgement.of(proposal, Verdict.DRY_RUN, f"{_name(proposal)} would be done.")
        if mode is Mode.APPROVE and (answer := _answer(proposal, past)) is not True:
            if answer is False:
                return Judgement.call(proposal.rung, f"{_name(proposal)} was refused by a person, whose turn it is.")
            return Judgement.of(proposal, Verdict.AWAIT_APPROVAL, f"{_name(proposal)} waits for a person's approval.")
        next_at = proposal.now + proposal.step.verify_within
        why = f"{_name(proposal)}: {proposal.case.diagnosis.summary[:500]}"
        return Judgement.of(proposal, Verdict.ACT, why, next_at=next_at)

    def _objection(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        objections = (each.check(proposal, situation, past) for each in self._safeguards)
        return next((objection for objection in objections if objection is not None), None)

    def _without_ladder(self, case: Case) -> Judgement:
        least = self._policy.limits.least_confidence
        if case.diagnosis.confidence < least:
            why = f"It is {case.diagnosis.confidence:.2f} sure, and a person is called from {least:.2f} on."
            action = RecommendedAction.CALL_PERSON
            return Judgement(rung=0, action=action, mode=Mode.AUTO, verdict=Verdict.OBSERVE, why=why)
        return Judgement.call(0, f"Nothing is done by itself about {case.cause.value}: a person is called.")

    def _watched(self, case: Case, situation: Situation) -> Judgement | None:
        """Of a service that is away, and that the platform sees to as a whole."""
        if case.cause is not Cause.SERVICE_UNAVAILABLE:
            return None
        silent = missing(case.diagnosis.subject, situation)
        left = [left_to_platform(each, self._policy.limits, case.now) for each in silent]
        reasons = [each for each in left if each is not None]
        if not reasons or len(reasons) < len(left):
            return None
        until = max((until for _, until in reasons if until is not None), default=None)
        why = f"{'; '.join(why for why, _ in reasons[:5])}: it is watched."
        action = self._policy.ladder(case.cause)[0].action
        return Judgement(rung=0, action=action, mode=Mode.OBSERVE, verdict=Verdict.OBSERVE, why=why, next_at=until)


def _cases(diagnoses: DiagnosesView, situation: Situation, now: datetime) -> list[Case]:
    """The roots, the surest first, in an order that does not depend on theirs."""
    roots = sorted((each for each in diagnoses.items if each.is_root), key=lambda e: (-e.confidence, e.fingerprint))
    found = []
    for root in roots[:MOST_CASES]:
        episode = situation.episodes.get(root.fingerprint)
        began_at = root.at if episode is None else episode.began_at
        found.append(Case(diagnosis=root, related=_related(root, diagnoses), began_at=began_at, now=now))
    return found


def _related(root: Diagnosis, diagnoses: DiagnosesView) -> tuple[Diagnosis, ...]:
    """What comes from it, and what else is wrong with its component."""
    related = (
        each
        for each in diagnoses.items
        if root.fingerprint in each.impacted_by
        or (each.subject.component == root.subject.component and each.fingerprint != root.fingerprint)
    )
    return tuple(sorted(related, key=lambda each: each.fingerprint))


def _answer(proposal: Proposal, past: Past) -> bool | None:
    """What a person said to it since it was last done; None: nothing yet. One no is a no."""
    answers = list[bool]()
    for each in past.decisions(proposal.case.incident):
        if each.rung == proposal.rung and each.target == proposal.target:
            if each.verdict is Verdict.ACT:
                answers.clear()
            elif each.verdict is Verdict.AWAIT_APPROVAL and (given := past.approval(each.id)) is not None:
                answers.append(given.approved)
    return all(answers) if answers else None


def _replicas(action: RecommendedAction, target: Target, situation: Situation, limits: Limits) -> int | None:
    step = {RecommendedAction.SCALE_UP: 1, RecommendedAction.SCALE_DOWN: -1}.get(action)
    if step is None:
        return None
    service = situation.services.get(target.service)
    if service is None:
        raise SituationChangedError(f"how many {target.service} run is not known any more: decide again")
    wanted = service.running + step
    least, most = replica_bounds(service, limits)
    if not least <= wanted <= most:
        raise SituationChangedError(f"{service.running} {target.service} run by now: decide again")
    return wanted


def _revision(action: RecommendedAction, situation: Situation) -> int | None:
    if action is not RecommendedAction.ROLLBACK:
        return None
    if situation.config.previous is None:
        raise SituationChangedError("there is no revision to go back to any more: decide again")
    return situation.config.previous


def _name(proposal: Proposal) -> str:
    return f"{proposal.action.value} of {proposal.target.name}"


def _at_the_end(done: list[RecommendedAction], passed: list[str]) -> str:
    tried = f"{', '.join(each.value for each in done)} did not help" if done else "nothing was done"
    reasons = " ".join(passed)[:600]
    return f"The ladder is at its end: {tried}. {reasons}".strip()
