"""Ladders: which rung is next, on what, how far by itself, and when a person is called."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, RecommendedAction, Subject
from contracts.platforms import InstanceState
from contracts.recovery import (
    CommandOutcome,
    Mode,
    RecoveryApproval,
    Safeguard,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from deploy.recovery import POLICY
from observability.recovery import (
    BackendFacts,
    Decider,
    Past,
    Policy,
    ServiceFacts,
    SituationChangedError,
    load_policy,
)
from tests.unit.observability.recovery.fleet import (
    LONG_AGO,
    NOW,
    Decided,
    backend_lost,
    decide,
    diagnosis,
    episodes,
    evidence,
    hung,
    incident_of,
    instance,
    of_service,
    policy,
    result,
    rung,
    s,
    silent,
    situation,
    unavailable,
    verified,
    view,
)

RESTART, SCALE_UP = RecommendedAction.RESTART_SERVICE, RecommendedAction.SCALE_UP
CLEAR_CACHE, FAILOVER = RecommendedAction.CLEAR_CACHE, RecommendedAction.FAILOVER
ROLLBACK, CALL_PERSON = RecommendedAction.ROLLBACK, RecommendedAction.CALL_PERSON
SHIPPED = load_policy(POLICY)
SLOW = of_service(Cause.HIGH_RESPONSE_TIME, "retrieve")


class History:
    """Decides again and again, and remembers what became of it."""

    def __init__(self, policy: Policy, found: Diagnosis, there: Any) -> None:
        self._policy, self._found, self._there = policy, found, there
        self.past = Past()
        self.now = NOW

    def decide(self, *, later: float = 0.0) -> Decided:
        self.now += s(later)
        fresh = self._found.model_copy(update={"evidence": (evidence(at=self.now),), "at": self.now})
        there = self._there
        object.__setattr__(there, "episodes", episodes(fresh, began_at=NOW))
        decided = decide(self._policy, [fresh], there, self.past, at=self.now)
        for each in decided.decisions:
            self.past.take(each)
        return decided

    def fails(self, decided: Decided, outcome: CommandOutcome = CommandOutcome.DONE) -> None:
        """It was done, and did not help."""
        (decision,) = (each for each in decided.decisions if each.verdict is Verdict.ACT)
        self.past.take(result(decision, outcome, after=1))
        if outcome is CommandOutcome.DONE:
            self.past.take(verified(decision, Verified.NOT_RECOVERED, at=self.now + s(100)))


class TestLadder:
    def test_climbs_when_an_action_did_not_help_and_ends_with_a_person(self):
        history = History(SHIPPED, SLOW, situation(services={"retrieve": ServiceFacts(running=3, has_cache=True)}))

        first = history.decide()
        history.fails(first)
        second = history.decide(later=110)
        history.fails(second)
        third = history.decide(later=310)

        assert (first.acts, second.acts) == ([(CLEAR_CACHE, "retrieve")], [(SCALE_UP, "retrieve")])
        assert third.acts == [(SCALE_UP, "retrieve")]  # the shipped policy repeats it, within bounds

    def test_never_repeats_a_rung(self):
        history = History(policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART)), unavailable(), situation(silent()))

        history.fails(history.decide())

        assert history.decide(later=600).verdicts == [(CALL_PERSON, Verdict.CALL_PERSON)]
        assert history.decide(later=6000).decisions == []

    def test_decides_nothing_while_an_action_may_still_help(self):
        history = History(SHIPPED, SLOW, situation())
        history.decide()

        assert history.decide(later=3600).decisions == []

    def test_tries_again_what_was_refused(self):
        history = History(policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART)), unavailable(), situation(silent()))
        first = history.decide()
        history.fails(first, CommandOutcome.REFUSED)

        again = history.decide(later=61)

        assert again.acts == [(RESTART, "ingest-1")]
        assert again.only.id != first.only.id

    def test_climbs_when_an_action_failed(self):
        ladder = policy(Cause.HIGH_RESPONSE_TIME, rung(CLEAR_CACHE), rung(SCALE_UP))
        history = History(ladder, SLOW, situation())
        history.fails(history.decide(), CommandOutcome.FAILED)

        assert history.decide(later=15).acts == [(SCALE_UP, "retrieve")]

    def test_passes_over_what_cannot_help(self):
        slow = of_service(Cause.HIGH_RESPONSE_TIME, "generate")

        decided = decide(SHIPPED, [slow], situation())

        assert decided.verdicts == [(CLEAR_CACHE, Verdict.WITHHELD), (SCALE_UP, Verdict.ACT)]

    def test_starts_anew_with_a_new_episode(self):
        history = History(policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART)), unavailable(), situation(silent()))
        history.fails(history.decide())
        again = unavailable(evidence=(evidence(at=NOW + s(900)),))
        there = situation(silent(), episodes=episodes(again, began_at=NOW + s(890)))

        assert decide(SHIPPED, [again], there, history.past, at=NOW + s(900)).acts == [(RESTART, "ingest-1")]

    @pytest.mark.parametrize("cause", [Cause.POISON_MESSAGE, Cause.DISK_FILLING, Cause.SLOW_CONSUMER])
    def test_a_cause_without_one_calls_a_person(self, cause):
        decision = decide(SHIPPED, [of_service(cause)], situation()).only

        assert (decision.verdict, decision.action, decision.target) == (Verdict.CALL_PERSON, CALL_PERSON, None)

    def test_nobody_is_called_for_a_guess(self):
        guess = of_service(Cause.DISK_FILLING, confidence=0.3)

        assert decide(SHIPPED, [guess], situation()).only.verdict is Verdict.OBSERVE


class TestTargets:
    def test_a_consequence_is_left_to_its_root(self):
        victim = of_service(Cause.HIGH_RESPONSE_TIME, "retrieve", impacted_by=(unavailable().fingerprint,))

        assert decide(SHIPPED, [victim], situation()).decisions == []

    def test_of_a_service_that_is_gone_each_hung_instance_is_restarted_in_its_turn(self):
        gone = of_service(Cause.SERVICE_UNAVAILABLE)
        wide = [silent(), silent(number=2)]
        history = History(policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART)), gone, situation(*wide))

        first = history.decide()
        history.fails(first)
        second = history.decide(later=200)

        assert (first.acts, second.acts) == ([(RESTART, "ingest-1")], [(RESTART, "ingest-2")])

    @pytest.mark.parametrize(
        "nameless",
        [
            diagnosis(Cause.HIGH_ERROR_RATE, Subject(component="gateway"), evidence=(evidence(at=NOW),)),
            diagnosis(Cause.SERVICE_UNAVAILABLE, Subject(component="ingest", service="ingest", instance="nobody-9")),
            diagnosis(Cause.BACKLOG_GROWING, Subject(component="some-consumer", service="some-consumer")),
            diagnosis(Cause.SERVICE_UNAVAILABLE, Subject(component="*", service="*")),
            diagnosis(Cause.MEMORY_LEAK, Subject(component="ingest", service="ingest")),
        ],
        ids=["no service", "unknown instance", "unknown service", "wildcard", "no instance"],
    )
    def test_where_none_can_be_named_a_person_is_called(self, nameless):
        there = situation(config=situation().config.__class__())

        decided = decide(SHIPPED, [nameless], there)

        assert decided.acts == []
        assert decided.verdicts[-1] == (CALL_PERSON, Verdict.CALL_PERSON)

    @pytest.mark.parametrize("service", ["broker", "operator"])
    def test_what_carries_orders_is_out_of_reach(self, service):
        there = situation(silent(service))

        assert decide(SHIPPED, [unavailable(service)], there).verdicts == [(CALL_PERSON, Verdict.CALL_PERSON)]

    def test_a_failover_is_of_the_backend_that_is_lost(self):
        act = decide(SHIPPED, [backend_lost()], situation()).only

        assert act.target == Target(kind=TargetKind.BACKEND, name="llm", service="generate")

    def test_an_error_rate_restarts_what_hangs_and_else_rolls_back(self):
        failing = of_service(Cause.HIGH_ERROR_RATE, "generate")

        assert decide(SHIPPED, [failing], situation(hung("generate", 2))).acts == [(RESTART, "generate-2")]
        assert decide(SHIPPED, [failing], situation()).acts == [(ROLLBACK, "runtime")]


class TestPlatform:
    @pytest.mark.parametrize(
        "away",
        [
            silent(run=InstanceState.RESTARTING),
            silent(run_since=NOW - s(5)),
            silent(run=None, heard_at=NOW - s(12)),
            silent(run=InstanceState.STOPPED),
            silent(run=None, heard_at=NOW - s(60), platform_silent=True),
        ],
        ids=["restarting", "started, not heard yet", "not known yet", "stopped", "the platform does not answer"],
    )
    def test_what_it_sees_to_is_watched(self, away):
        decision = decide(SHIPPED, [unavailable()], situation(away)).only

        assert (decision.verdict, decision.target) == (Verdict.OBSERVE, None)

    def test_one_that_hangs_is_restarted_beside_one_that_it_sees_to(self):
        gone = of_service(Cause.SERVICE_UNAVAILABLE)

        assert decide(SHIPPED, [gone], situation(silent(run=InstanceState.RESTARTING), silent(number=2))).acts == [
            (RESTART, "ingest-2")
        ]

    def test_one_that_it_gave_up_is_started(self):
        assert decide(SHIPPED, [unavailable()], situation(silent(run=InstanceState.FAILED))).acts


class TestModes:
    def restarts(self, mode: Mode) -> Policy:
        return policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART, mode))

    @pytest.mark.parametrize(
        ("mode", "verdict"),
        [
            (Mode.OBSERVE, Verdict.OBSERVE),
            (Mode.DRY_RUN, Verdict.DRY_RUN),
            (Mode.APPROVE, Verdict.AWAIT_APPROVAL),
            (Mode.AUTO, Verdict.ACT),
        ],
    )
    def test_goes_as_far_as_its_mode(self, mode, verdict):
        assert decide(self.restarts(mode), [unavailable()], situation(silent())).only.verdict is verdict

    @pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.APPROVE])
    def test_safeguards_are_asked_in_every_mode(self, mode):
        decided = decide(self.restarts(mode), [unavailable()], situation(silent(), hears=False))

        assert decided.only.safeguard is Safeguard.DISCONNECTED

    @pytest.mark.parametrize(
        ("approved", "expected"),
        [(True, (RESTART, Verdict.ACT)), (False, (CALL_PERSON, Verdict.CALL_PERSON))],
    )
    def test_a_person_says(self, approved, expected):
        history = History(self.restarts(Mode.APPROVE), unavailable(), situation(silent()))
        waiting = history.decide().only
        assert history.decide(later=15).decisions == []

        history.past.take(RecoveryApproval(decision=waiting.id, approved=approved, reason="seen"))

        assert history.decide(later=15).verdicts == [expected]
        assert history.decide(later=15).decisions == []

    def test_an_approval_is_good_for_one_time(self):
        approves = policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART, Mode.APPROVE, repeat=True))
        history = History(approves, unavailable(), situation(silent()))
        waiting = history.decide().only
        history.past.take(RecoveryApproval(decision=waiting.id, approved=True, reason="once"))
        history.fails(history.decide(later=15))

        assert history.decide(later=400).only.verdict is Verdict.AWAIT_APPROVAL

    def test_an_approval_does_not_switch_safeguards_off(self):
        there = situation(silent())
        history = History(self.restarts(Mode.APPROVE), unavailable(), there)
        history.past.take(RecoveryApproval(decision=history.decide().only.id, approved=True, reason="go"))
        object.__setattr__(there, "hears", False)

        assert history.decide(later=15).only.safeguard is Safeguard.DISCONNECTED


class TestTelling:
    def test_nothing_is_told_again_until_it_changes(self):
        there = situation(silent(), hears=False)
        history = History(SHIPPED, unavailable(), there)
        held = history.decide().only
        assert history.decide(later=15).decisions == []

        object.__setattr__(there, "hears", True)
        assert history.decide(later=15).only.verdict is Verdict.ACT
        assert held.verdict is Verdict.WITHHELD

    def test_what_is_held_again_for_the_same_reason_is_told_again_after_a_change(self):
        there = situation(silent(), hears=False)
        history = History(SHIPPED, unavailable(), there)
        ids = {history.decide().only.id}
        for hears, connected in ((True, False), (False, True)):
            object.__setattr__(there, "hears", hears)
            object.__setattr__(there, "connected", connected)
            ids |= {each.id for each in history.decide(later=15).decisions}

        assert len(ids) == 1  # deaf or disconnected, it is the same safeguard

    def test_an_observer_that_takes_over_decides_the_same(self):
        found, there = unavailable(), situation(silent(), episodes=episodes(unavailable(), began_at=LONG_AGO))

        first = Decider(SHIPPED).decide(view(found), there, Past(), now=NOW, token=3)
        second = Decider(SHIPPED).decide(view(found), there, Past(), now=NOW + s(2), token=4)

        assert [each.id for each in first] == [each.id for each in second]
        assert first[0].incident == incident_of(found, LONG_AGO)

    def test_the_past_that_it_is_given_stays_as_it_is(self):
        before = Past()
        decide(SHIPPED, [unavailable()], situation(silent()), before)

        assert before.incidents() == []

    def test_a_decision_says_who_why_and_when_the_next_step_may_follow(self):
        decision = decide(SHIPPED, [unavailable()], situation(silent())).only

        assert (decision.principal, decision.token, decision.created_at) == ("observer", 3, NOW)
        assert decision.why == "restart_service of ingest-1: service_unavailable at ingest."
        assert decision.next_at == NOW + timedelta(minutes=2)

    def test_a_withheld_one_says_when_it_is_looked_at_again(self):
        there = situation(silent(), instance(number=2, started_at=NOW - s(10)))

        assert decide(SHIPPED, [unavailable()], there).only.why == (
            "restart_service is withheld: somebody has just started an instance of ingest; "
            "it is looked at again at 12:00:20 UTC."
        )


class TestCommands:
    def command(self, decided: Decided, there: Any, **changes: Any) -> Any:
        (act,) = (each for each in decided.decisions if each.verdict is Verdict.ACT)
        return Decider(SHIPPED).command(act, there, **{"now": NOW, "token": 5, **changes})

    def test_names_how_many_are_to_run(self):
        command = self.command(decide(SHIPPED, [of_service(Cause.BACKLOG_GROWING)], situation()), situation())

        assert (command.action, command.replicas) == (SCALE_UP, 3)

    def test_names_the_revision_to_go_back_to(self):
        failing = of_service(Cause.HIGH_ERROR_RATE, "generate")

        assert self.command(decide(SHIPPED, [failing], situation()), situation()).revision == 6

    def test_uses_the_standby(self):
        assert self.command(decide(SHIPPED, [backend_lost()], situation()), situation()).standby is True

    def test_is_the_same_when_it_is_ordered_again(self):
        decided = decide(SHIPPED, [unavailable()], situation(silent()))

        one = self.command(decided, situation(silent()))
        other = self.command(decided, situation(silent()), now=NOW + s(20))

        assert (one.id, one.expires_at) == (other.id, other.expires_at)
        assert one.expires_at == NOW + s(30)
        assert (one.token, one.evidence_at, one.signature) == (5, NOW - s(2), None)

    @pytest.mark.parametrize(
        ("found", "later"),
        [
            (of_service(Cause.BACKLOG_GROWING), situation(services={})),
            (of_service(Cause.BACKLOG_GROWING), situation(services={"ingest": ServiceFacts(running=4)})),
            (of_service(Cause.HIGH_ERROR_RATE, "generate"), situation(config=situation().config.__class__(current=8))),
        ],
        ids=["unknown", "enough by now", "nothing to go back to"],
    )
    def test_nothing_is_ordered_that_does_not_fit_any_more(self, found, later):
        decided = decide(SHIPPED, [found], situation())

        with pytest.raises(SituationChangedError, match="decide again"):
            self.command(decided, later)

    def test_nothing_is_ordered_too_late(self):
        with pytest.raises(SituationChangedError, match="has expired"):
            self.command(decide(SHIPPED, [unavailable()], situation(silent())), situation(), now=NOW + s(30))

    def test_only_a_decision_to_act_is_ordered(self):
        held = decide(SHIPPED, [unavailable()], situation(silent(), hears=False)).only

        with pytest.raises(SituationChangedError, match="orders nothing"):
            Decider(SHIPPED).command(held, situation(), now=NOW, token=5)


def test_an_empty_view_decides_nothing():
    assert Decider(SHIPPED).decide(DiagnosesView(at=NOW), situation(), Past(), now=NOW, token=1) == []


def test_a_standby_that_is_used_already_is_no_way_out():
    used = situation(backends={"llm": BackendFacts(service="generate", standby_available=True, standby_active=True)})

    assert decide(SHIPPED, [backend_lost()], used).acts == []


class TestWhatHolds:
    NEVER = policy(Cause.HIGH_RESPONSE_TIME, rung(SCALE_UP), most_replicas=2)

    @staticmethod
    def holds(of: Policy, found: Diagnosis, there: Any, before: Past) -> list[Verdict]:
        return [each.verdict for each in Decider(of).judge(view(found), there, before, now=NOW, token=3).standing]

    @pytest.mark.parametrize("service", ["embed", "gateway", "generate", "ingest", "retrieve"])
    def test_a_person_who_is_called_is_called_whatever_was_told_at_the_same_moment(self, service):
        slow, there = of_service(Cause.HIGH_RESPONSE_TIME, service), situation()
        told = decide(self.NEVER, [slow], there).decisions
        before = Past()
        for each in told:
            before.take(each)

        assert [each.verdict for each in told] == [Verdict.WITHHELD, Verdict.CALL_PERSON]
        assert self.holds(self.NEVER, slow, there, Past()) == [Verdict.CALL_PERSON]
        assert self.holds(self.NEVER, slow, there, before) == [Verdict.CALL_PERSON]

    def test_a_person_stays_called_when_a_rung_is_held_back_for_another_reason(self):
        there = situation()
        history = History(self.NEVER, SLOW, there)
        history.decide()
        object.__setattr__(there, "hears", False)
        history.decide(later=15)
        object.__setattr__(there, "hears", True)
        history.decide(later=15)

        last = history.past.decisions(history.past.incidents()[0])[-1]
        fresh = SLOW.model_copy(update={"evidence": (evidence(at=history.now),), "at": history.now})
        looked = view(fresh, at=history.now)
        held = Decider(self.NEVER).judge(looked, there, history.past, now=history.now, token=3)
        assert last.verdict is Verdict.WITHHELD
        assert [each.verdict for each in held.standing] == [Verdict.CALL_PERSON]
        assert held.news == ()

    def test_what_is_done_holds_while_it_may_help(self):
        history = History(SHIPPED, unavailable(), situation(silent()))
        history.decide()

        assert self.holds(SHIPPED, unavailable(), history._there, history.past) == [Verdict.ACT]


def test_what_was_decided_is_decided_again_as_if_it_had_not_been():
    there = situation(silent())
    history = History(SHIPPED, unavailable(), there)
    act = history.decide().only
    before = history.past.without([act.id])

    def again() -> list[str]:
        return [each.id for each in decide(SHIPPED, [unavailable()], there, before).decisions]

    assert again() == [act.id]
    object.__setattr__(there, "hears", False)
    assert act.id not in again()
