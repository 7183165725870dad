"""What was only meant for a while is taken back when it has been quiet for long, and nobody has changed it since."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.diagnoses import Cause, DiagnosesView, RecommendedAction
from contracts.recovery import (
    CommandOutcome,
    Mode,
    RecoveryApproval,
    RecoveryDecision,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from observability.recovery import BackendFacts, Decider, Episode, Past, Policy, ServiceFacts, Situation, Verifier
from tests.unit.observability.recovery.fleet import (
    NOW,
    acted,
    backend_lost,
    of_service,
    past,
    policy,
    result,
    rung,
    s,
    situation,
    verified,
    view,
)

EMBED = Target(kind=TargetKind.SERVICE, name="embed", service="embed")
LLM = Target(kind=TargetKind.BACKEND, name="llm", service="generate")
SCALES = policy(Cause.BACKLOG_GROWING, rung(RecommendedAction.SCALE_UP, repeat=True))
FAILS_OVER = policy(Cause.BACKEND_CONNECTION_LOST, rung(RecommendedAction.FAILOVER))
HOUR = 3600.0


def scaled(to: int, *, ago: float, target: Target = EMBED, quiet: float | None = None, **changes: Any) -> list[Any]:
    """An instance was added, and the backlog was gone `quiet` seconds ago."""
    decision = acted(target, RecommendedAction.SCALE_UP, ago=ago, cause=Cause.BACKLOG_GROWING)
    events = [decision, result(decision).model_copy(update={"replicas": to, **changes})]
    return events if quiet is None else [*events, verified(decision, Verified.RECOVERED, at=NOW - s(quiet))]


def failed_over(*, ago: float, quiet: float) -> list[Any]:
    decision = acted(LLM, RecommendedAction.FAILOVER, ago=ago, cause=Cause.BACKEND_CONNECTION_LOST)
    return [decision, result(decision), verified(decision, Verified.RECOVERED, at=NOW - s(quiet))]


def answer(asked: RecoveryDecision, *, approved: bool) -> RecoveryApproval:
    return RecoveryApproval(
        decision=asked.id,
        incident=asked.incident,
        approved=approved,
        reason="a test",
        principal="ada",
        created_at=asked.created_at + s(60),
    )


def embeds(running: int, **changes: Any) -> Situation:
    usual = situation()
    services = {**usual.services, "embed": ServiceFacts(running=running, possible=4)}
    return replace(usual, services=services, **changes)


def on_standby(*, works: bool = True, active: bool = True) -> Situation:
    llm = BackendFacts(service="generate", standby_available=True, standby_active=active, first_choice_available=works)
    return situation(backends={"llm": llm})


def decided(
    policy: Policy, there: Situation, before: Past, *, seen: DiagnosesView | None = None
) -> list[RecoveryDecision]:
    return Decider(policy).decide(seen or view(), there, before, now=NOW, token=3)


def decided_at(hours: float, policy: Policy, there: Situation, before: Past) -> list[RecoveryDecision]:
    """So many hours from now, in which nothing was found."""
    at = NOW + s(hours * HOUR)
    return Decider(policy).decide(view(at=at), there, before, now=at, token=3)


def acts(decisions: list[RecoveryDecision]) -> list[tuple[RecommendedAction, str]]:
    return [
        (each.action, each.target.name) for each in decisions if each.verdict is Verdict.ACT and each.target is not None
    ]


class TestInstances:
    def test_one_is_taken_away_when_it_has_been_quiet(self) -> None:
        added = scaled(3, ago=2 * HOUR, quiet=HOUR)
        there = embeds(3)

        (decision,) = decided(SCALES, there, past(*added))
        command = Decider(SCALES).command(decision, there, now=NOW, token=3)

        assert acts([decision]) == [(RecommendedAction.SCALE_DOWN, "embed")]
        assert decision.returns == added[0].id
        assert decision.incident != added[0].incident
        assert command.replicas == 2
        assert "backlog growing has been gone for 60 min" in decision.why

    def test_two_are_taken_away_one_after_another(self) -> None:
        before = past(*scaled(3, ago=3 * HOUR, quiet=2 * HOUR), *scaled(4, ago=2.9 * HOUR, quiet=2 * HOUR))

        (first,) = decided(SCALES, embeds(4), before)
        before.take(first)
        before.take(result(first).model_copy(update={"replicas": 3}))

        assert decided_at(0.9, SCALES, embeds(3), before) == []
        (second,) = decided_at(1.1, SCALES, embeds(3), before)
        assert acts([second]) == [(RecommendedAction.SCALE_DOWN, "embed")]
        assert second.returns != first.returns

    @pytest.mark.parametrize("quiet", [None, 60.0, 29 * 60.0])
    def test_not_before_it_has_been_quiet_for_long(self, quiet: float | None) -> None:
        assert decided(SCALES, embeds(3), past(*scaled(3, ago=2 * HOUR, quiet=quiet))) == []

    def test_each_time_it_waits_twice_as_long(self) -> None:
        back = acted(EMBED, RecommendedAction.SCALE_DOWN, ago=5 * HOUR).model_copy(update={"returns": "earlier"})
        before = (back, result(back))

        assert decided(SCALES, embeds(3), past(*before, *scaled(3, ago=2 * HOUR, quiet=0.9 * HOUR))) == []
        assert decided(SCALES, embeds(3), past(*before, *scaled(3, ago=2 * HOUR, quiet=1.1 * HOUR)))

    def test_not_while_anything_is_wrong_with_the_service(self) -> None:
        slow = of_service(Cause.HIGH_RESPONSE_TIME, "embed", confidence=0.1)
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR))

        assert acts(decided(SCALES, embeds(3), before, seen=view(slow))) == []
        assert acts(decided(SCALES, embeds(3), before, seen=view(unjudged=[Cause.BACKLOG_GROWING]))) == []

    def test_not_when_the_cause_came_again_meanwhile(self) -> None:
        (decision, *_), again = (added := scaled(3, ago=2 * HOUR, quiet=HOUR)), NOW - s(300)
        there = embeds(3, episodes={decision.fingerprint: Episode(began_at=again, last_seen_at=again)})

        assert decided(SCALES, there, past(*added)) == []

    @pytest.mark.parametrize("running", [1, 2, 4])
    def test_what_somebody_has_changed_since_is_left_to_them_whatever_they_do_later(self, running: int) -> None:
        before = past(*scaled(3, ago=60))

        (left,) = decided(SCALES, embeds(running), before)
        before.take(left)

        assert (left.verdict, left.why) == (Verdict.OBSERVE, "Somebody has changed it since: it is left to them.")
        assert decided_at(5, SCALES, embeds(3), past(*scaled(3, ago=60, quiet=30), left)) == []

    def test_how_many_run_is_not_taken_for_changed_while_it_is_being_done_or_not_known(self) -> None:
        there = embeds(2)
        unknown = replace(there, services={**there.services, "embed": ServiceFacts(running=2)})

        assert decided(SCALES, there, past(*scaled(3, ago=5))) == []
        assert decided(SCALES, there, past(scaled(3, ago=600)[0])) == []
        assert decided(SCALES, unknown, past(*scaled(3, ago=600))) == []

    def test_not_what_was_not_done(self) -> None:
        refused = scaled(3, ago=2 * HOUR, quiet=HOUR, outcome=CommandOutcome.REFUSED)

        assert decided(SCALES, embeds(3), past(*refused)) == []

    def test_once(self) -> None:
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR))
        (decision,) = decided(SCALES, embeds(3), before)
        before.take(decision)

        assert decided(SCALES, embeds(3), before) == []

    def test_again_when_it_was_refused(self) -> None:
        before = past(*scaled(3, ago=2 * HOUR, quiet=2 * HOUR))
        (decision,) = decided(SCALES, embeds(3), before)
        before.take(decision)
        before.take(result(decision, CommandOutcome.REFUSED))

        assert decided_at(0.9, SCALES, embeds(3), before) == []
        (again,) = decided_at(1.1, SCALES, embeds(3), before)
        assert acts([again]) == [(RecommendedAction.SCALE_DOWN, "embed")]
        assert again.id != decision.id

    def test_what_is_refused_for_ever_is_tried_some_times_a_day(self) -> None:
        before, tried = past(*scaled(3, ago=2 * HOUR, quiet=2 * HOUR)), 0
        for quarter in range(4 * 22):
            for decision in decided_at(quarter / 4, SCALES, embeds(3), before):
                before.take(decision)
                before.take(result(decision, CommandOutcome.REFUSED))
                tried += 1

        assert tried == 5

    def test_again_when_it_was_never_ordered(self) -> None:
        before = past(*scaled(3, ago=2 * HOUR, quiet=2 * HOUR))
        (decision,) = decided(SCALES, embeds(3), before)
        before.take(decision)

        at = NOW + s(600)
        (told,) = Verifier(SCALES).verify(view(at=at), embeds(3), before, now=at, token=3)
        before.take(told)

        assert told.verified is Verified.NOT_RECOVERED
        assert acts(decided_at(1.1, SCALES, embeds(3), before)) == [(RecommendedAction.SCALE_DOWN, "embed")]

    def test_a_policy_that_only_observes_only_says_so(self) -> None:
        observes = policy(Cause.BACKLOG_GROWING, rung(RecommendedAction.SCALE_UP, Mode.OBSERVE))

        (decision,) = decided(observes, embeds(3), past(*scaled(3, ago=2 * HOUR, quiet=HOUR)))

        assert decision.verdict is Verdict.OBSERVE

    def test_only_what_was_done_within_a_day(self) -> None:
        week = [
            back
            for day in range(2, 9)
            for back in [acted(EMBED, RecommendedAction.SCALE_DOWN, ago=day * 24 * HOUR)]
            for back in [back.model_copy(update={"returns": f"earlier-{day}"})]
        ]

        assert decided(SCALES, embeds(3), past(*week, *map(result, week), *scaled(3, ago=2 * HOUR, quiet=HOUR)))
        assert decided(SCALES, embeds(3), past(*scaled(3, ago=25 * HOUR, quiet=23 * HOUR))) == []

    def test_not_when_nobody_looked_meanwhile(self) -> None:
        back_lately = {Cause.BACKLOG_GROWING: NOW - timedelta(minutes=10)}
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR))

        assert decided(SCALES, embeds(3, seen_since=back_lately), before) == []
        assert decided(SCALES, embeds(3, seen_since={}), before) == []

    def test_it_waits_as_long_as_flapping_is_looked_for(self) -> None:
        careful = policy(Cause.BACKLOG_GROWING, rung(RecommendedAction.SCALE_UP), flapping_window="2h")

        assert decided(careful, embeds(3), past(*scaled(3, ago=2.5 * HOUR, quiet=1.9 * HOUR))) == []
        assert acts(decided(careful, embeds(3), past(*scaled(3, ago=2.5 * HOUR, quiet=2.1 * HOUR))))

    def test_as_far_by_itself_as_it_was_added(self) -> None:
        asks = policy(Cause.BACKLOG_GROWING, rung(RecommendedAction.SCALE_UP, Mode.APPROVE))
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR))

        (asked,) = decided(asks, embeds(3), before)
        before.take(asked)

        assert asked.verdict is Verdict.AWAIT_APPROVAL
        later = NOW + timedelta(hours=1)
        assert Verifier(asks).verify(view(at=later), embeds(3), before, now=later, token=3) == []
        before.take(answer(asked, approved=True))
        assert acts(decided_at(1, asks, embeds(3), before)) == [(RecommendedAction.SCALE_DOWN, "embed")]

    def test_what_a_person_did_not_want_is_left(self) -> None:
        asks = policy(Cause.BACKLOG_GROWING, rung(RecommendedAction.SCALE_UP, Mode.APPROVE))
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR))
        (asked,) = decided(asks, embeds(3), before)
        before.take(asked)
        before.take(answer(asked, approved=False))

        at = NOW + timedelta(hours=3)
        judged = Decider(asks).judge(view(at=at), embeds(3), before, now=at, token=3)
        assert (judged.news, judged.standing) == ((), ())

    @pytest.mark.parametrize(("running", "verified"), [(2, Verified.RECOVERED), (3, Verified.NOT_RECOVERED)])
    def test_it_helped_when_fewer_run(self, running: int, verified: Verified) -> None:
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR))
        (decision,) = decided(SCALES, embeds(3), before)
        before.take(decision)
        before.take(result(decision).model_copy(update={"replicas": 2}))

        at = NOW + timedelta(minutes=30)
        found = Verifier(SCALES).verify(view(at=at), embeds(running), before, now=at, token=3)

        assert [each.verified for each in found] == [verified]

    def test_one_that_was_there_already_is_not_taken_away(self) -> None:
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR, replicas=None))

        (left,) = decided(SCALES, embeds(3), before)

        assert left.verdict is Verdict.OBSERVE

    def test_it_stands_in_the_way_of_no_repair(self) -> None:
        back = acted(EMBED, RecommendedAction.SCALE_DOWN, ago=30).model_copy(update={"returns": "earlier"})
        grows = of_service(Cause.BACKLOG_GROWING, "ingest")

        found = decided(SCALES, situation(), past(back, result(back)), seen=view(grows))

        assert acts(found) == [(RecommendedAction.SCALE_UP, "ingest")]

    def test_not_by_a_policy_that_adds_none(self) -> None:
        assert decided(Policy(), embeds(3), past(*scaled(3, ago=2 * HOUR, quiet=HOUR))) == []

    def test_safeguards_hold_it_back(self) -> None:
        deaf = replace(embeds(3), hears=False)

        (held,) = decided(SCALES, deaf, past(*scaled(3, ago=2 * HOUR, quiet=HOUR)))

        assert held.verdict is Verdict.WITHHELD

    def test_more_may_be_added_at_once_when_it_was_too_early(self) -> None:
        back = acted(EMBED, RecommendedAction.SCALE_DOWN, ago=60).model_copy(update={"returns": "earlier"})
        before = past(*scaled(3, ago=2 * HOUR, quiet=HOUR), back, result(back), verified(back, Verified.RECOVERED))
        grows = of_service(Cause.BACKLOG_GROWING, "embed")

        later = NOW + timedelta(minutes=3)
        fresh = grows.model_copy(update={"evidence": (grows.evidence[0].model_copy(update={"at": later}),)})
        again = Decider(SCALES).decide(view(fresh, at=later), embeds(2), before, now=later, token=3)

        assert acts(again) == [(RecommendedAction.SCALE_UP, "embed")]


class TestStandby:
    def test_the_first_choice_is_used_again_when_it_works(self) -> None:
        (decision,) = decided(FAILS_OVER, on_standby(), past(*failed_over(ago=2 * HOUR, quiet=HOUR)))
        command = Decider(FAILS_OVER).command(decision, on_standby(), now=NOW, token=3)

        assert acts([decision]) == [(RecommendedAction.FAILOVER, "llm")]
        assert command.standby is False

    def test_not_while_it_does_not_work(self) -> None:
        (held,) = decided(FAILS_OVER, on_standby(works=False), past(*failed_over(ago=2 * HOUR, quiet=HOUR)))

        assert held.verdict is Verdict.WITHHELD
        assert "does not work yet" in held.why

    def test_when_somebody_has_gone_back_a_later_standby_is_theirs(self) -> None:
        before = past(*failed_over(ago=2 * HOUR, quiet=HOUR))
        (left,) = decided(FAILS_OVER, on_standby(active=False), before)
        before.take(left)

        assert left.verdict is Verdict.OBSERVE
        assert decided_at(5, FAILS_OVER, on_standby(), before) == []

    def test_it_helped_when_the_first_choice_is_used_and_the_cause_stays_away(self) -> None:
        before = past(*failed_over(ago=2 * HOUR, quiet=HOUR))
        (decision,) = decided(FAILS_OVER, on_standby(), before)
        before.take(decision)
        before.take(result(decision))

        def found(after_s: float, there: Situation) -> list[Verified]:
            at = NOW + s(after_s)
            told = Verifier(FAILS_OVER).verify(view(at=at), there, before, now=at, token=3)
            return [each.verified for each in told if each.incident == decision.incident]

        assert found(60, on_standby()) == []
        assert found(60, on_standby(active=False)) == [Verified.RECOVERED]
        assert found(180, on_standby()) == [Verified.NOT_RECOVERED]

    def test_the_standby_is_used_again_at_once_when_it_was_too_early(self) -> None:
        before = past(*failed_over(ago=2 * HOUR, quiet=HOUR))
        (decision,) = decided(FAILS_OVER, on_standby(), before)
        before.take(decision)
        before.take(result(decision))
        later = NOW + timedelta(minutes=3)
        lost = backend_lost()
        fresh = lost.model_copy(
            update={"evidence": tuple(each.model_copy(update={"at": later}) for each in lost.evidence)}
        )

        again = Decider(FAILS_OVER).decide(view(fresh, at=later), on_standby(active=False), before, now=later, token=3)

        assert acts(again) == [(RecommendedAction.FAILOVER, "llm")]
        assert again[0].returns is None
