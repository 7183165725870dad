"""Decides what is done about what is wrong, orders it, and looks whether it helped: while this observer leads."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from contracts.diagnoses import DiagnosesView
from contracts.errors import TransientError, WaggleError
from contracts.observing import ErrorType, Parameters, RequestKind
from contracts.platforms import Platform
from contracts.recovery import Mode, RecoveryDecision, RecoveryVerification, Verdict
from contracts.recovery_views import RecoveryPlanView
from messaging.endpoints import EndpointDesk
from messaging.observing import Answer, Handler, RefusedError
from messaging.recovery import CommandDesk, RecoveryKey, TargetBusyError
from messaging.recovery.audit import RecoveryLog
from messaging.recovery.pausing import PauseFollower
from observability.recovery import Decider, Past, Policy, Situation, SituationChangedError, Verifier
from observability.recovery.observed import episodes_of
from workers.observer.recovery.calls import Calls
from workers.observer.recovery.memory import Memory
from workers.observer.recovery.platform import PlatformEye
from workers.observer.recovery.sight import Sight
from workers.observer.recovery.situation import FleetPicture

if TYPE_CHECKING:
    from workers.observer.term import Duty
    from workers.observer.worker import Parts

EPISODES: Final = timedelta(days=1)

log = structlog.get_logger(__name__)


def recovering(parts: Parts) -> Duty:
    """Repair the fleet, as far as the policy lets it."""
    return parts.recovery.run


class Recovery:
    """Goes by one policy for as long as the process lives; without a key, which commands need, it only says what it would do.

    Decisions are recorded before anything is ordered, and what was not answered is ordered again where it would be decided
    again: the same command, which the operator does once.
    """

    def __init__(self, parts: Parts, policy: Policy, key: RecoveryKey | None, platform: Platform | None) -> None:
        self.policy = policy if key is not None else only_saying(policy)
        self._parts = parts
        self._broker = parts.app.broker
        self._clock = self._broker.clock
        self._decider, self._verifier = Decider(self.policy), Verifier(self.policy)
        self._log = RecoveryLog(self._broker)
        self._commands = None if key is None else CommandDesk(self._broker, key)
        self._eye = PlatformEye(platform)
        self._calls = Calls(parts.app.meter)
        self._term: _Term | None = None

    def handlers(self) -> dict[RequestKind, Handler]:
        return {RequestKind.RECOVERY_POLICY: self._tell_policy, RequestKind.RECOVERY_PLAN: self._tell_plan}

    async def run(self, token: int) -> None:
        """Until cancelled. Raises `TransientError` when what was done before cannot be read."""
        memory, pause = Memory(self._broker), PauseFollower(self._broker)
        async with EndpointDesk.open(self._broker) as desk, asyncio.TaskGroup() as tasks:
            tasks.create_task(memory.run(), name="audit of repairs")
            tasks.create_task(pause.run(), name="pause of repairs")
            await memory.known.wait()
            await self._parts.announcer.silences_known.wait()  # somebody may be at work where it is not known
            sight = Sight(self.policy.limits.evidence_age)
            picture = FleetPicture(
                self._broker, self._parts.intake, self._parts.silences, pause, self._eye, desk, sight
            )
            self._term = _Term(picture, memory.past, token)
            try:
                await self._repair(self._term)
            finally:
                self._term = None
                self._calls.clear()

    async def _repair(self, term: _Term) -> None:
        view: DiagnosesView | None = None
        while True:
            view = await self._parts.diagnoses.newer_than(view)
            try:
                await self._step(view, term)
            except TransientError as error:  # nothing is acted upon while not everything is known
                log.warning("nothing is repaired this time", reason=str(error))

    async def _step(self, view: DiagnosesView, term: _Term) -> None:
        situation = await self._situation(view, term)
        for verification in self._verifier.verify(view, situation, term.past, now=self._clock.now(), token=term.token):
            await self._record(verification, term)
        left = self._left_to_order(view, situation, term)
        decided = self._decider.judge(view, situation, term.past, now=self._clock.now(), token=term.token)
        self._calls.show(decided.standing)
        for decision in decided.news:
            await self._record(decision, term)
            self._calls.count(decision)
        for decision in (*left, *decided.news):
            if decision.verdict is Verdict.ACT:
                await self._order(decision, situation, term)

    def _left_to_order(self, view: DiagnosesView, situation: Situation, term: _Term) -> list[RecoveryDecision]:
        """What was to be done, has no result, and would be decided again now, were it not yet.

        A decision is no order: anybody may have written it, and since it was made somebody may have paused repairs.
        """
        since = self._clock.now() - self.policy.limits.command_expires
        unanswered = term.past.actions(lambda each: each.result is None and each.decision.created_at > since)
        if not unanswered:
            return []
        before = term.past.without([act.decision.id for act in unanswered])
        again = self._decider.decide(view, situation, before, now=self._clock.now(), token=term.token)
        agreed = {decision.id for decision in again}
        return [act.decision for act in unanswered if act.decision.id in agreed]

    async def _situation(self, view: DiagnosesView, term: _Term) -> Situation:
        history = self._parts.diagnoses.since(self._clock.now() - EPISODES)
        return await term.picture.now(view, episodes_of(history))

    async def _record(self, event: RecoveryDecision | RecoveryVerification, term: _Term) -> None:
        await self._log.record(event)
        term.past.take(event)
        what = "decision" if isinstance(event, RecoveryDecision) else "verification"
        log.info(what, incident=event.incident, cause=event.cause.value, **_told(event))

    async def _order(self, decision: RecoveryDecision, situation: Situation, term: _Term) -> None:
        if self._commands is None:
            return
        try:
            command = self._decider.command(decision, situation, now=self._clock.now(), token=term.token)
            await self._commands.issue(command)
        except (SituationChangedError, TargetBusyError) as error:
            log.info("not ordered", decision=decision.id, reason=str(error))
        except TransientError:
            raise
        except WaggleError as error:  # no repetition changes that; what is verified later climbs the ladder
            log.error("cannot be ordered", decision=decision.id, reason=str(error))  # noqa: TRY400 (it says all)

    async def _tell_policy(self, _: Parameters) -> Answer:
        return Answer.document(self.policy.model_dump(mode="json"))

    async def _tell_plan(self, _: Parameters) -> Answer:
        """What stands, and what would be decided on top of it if it were decided now."""
        term = self._term
        if term is None:
            raise RefusedError(ErrorType.UNAVAILABLE, "repairs are not under way yet: ask again in some seconds")
        try:
            view = await self._parts.diagnoses.newer_than(None)
            situation = await self._situation(view, term)
        except TransientError as error:
            raise RefusedError(ErrorType.UNAVAILABLE, str(error)) from error
        now = self._clock.now()
        decided = self._decider.judge(view, situation, term.past, now=now, token=term.token)
        standing = [decision for decision in decided.standing if decision not in decided.news]
        return Answer.of(RecoveryPlanView(at=now, items=(*standing, *decided.news)))


class _Term:
    """What holds while this observer leads."""

    def __init__(self, picture: FleetPicture, past: Past, token: int) -> None:
        self.picture = picture
        self.past = past
        self.token = token


def only_saying(policy: Policy) -> Policy:
    """The same ladders, of which nothing is done."""
    ladders = {
        cause: tuple(
            rung.model_copy(update={"mode": Mode.DRY_RUN}) if rung.mode is not Mode.OBSERVE else rung for rung in ladder
        )
        for cause, ladder in policy.ladders.items()
    }
    return policy.model_copy(update={"ladders": ladders})


def _told(event: RecoveryDecision | RecoveryVerification) -> dict[str, str]:
    if isinstance(event, RecoveryVerification):
        return {"verified": event.verified.value, "detail": event.detail}
    target = "" if event.target is None else event.target.name
    safeguard = {} if event.safeguard is None else {"safeguard": event.safeguard.value}
    return {
        "action": event.action.value,
        "target": target,
        "verdict": event.verdict.value,
        "why": event.why,
        **safeguard,
    }
