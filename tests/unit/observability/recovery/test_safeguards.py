"""Each safeguard by the harm that it prevents: with it nothing is done, without it the same input does act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from contracts.diagnoses import Cause, Diagnosis, RecommendedAction, Subject
from contracts.health import ProcessState
from contracts.platforms import InstanceState
from contracts.recovery import (
    CommandOutcome,
    RecoveryPause,
    Safeguard,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from contracts.silences import Silence
from observability.notifications.matchers import parse_matcher
from observability.recovery import BackendFacts, ConfigFacts, Past, Policy, ServiceFacts, Situation
from observability.recovery.policy import Budget
from observability.recovery.safeguards import (
    BlastRadius,
    CoolingDown,
    Disconnected,
    Flapping,
    Maintenance,
    NoProgress,
    Paused,
    PreChecks,
    Quorum,
    RestartStorm,
    Rollout,
    StaleEvidence,
    Unsure,
)
from observability.recovery.safeguards.restart_storm import delay
from tests.unit.observability.recovery.fleet import (
    NOW,
    acted,
    backend_lost,
    decide,
    diagnosis,
    evidence,
    hung,
    instance,
    of_service,
    past,
    policy,
    result,
    rung,
    s,
    silent,
    situation,
    unavailable,
    verified,
)

RESTART = RecommendedAction.RESTART_SERVICE
SCALE_UP, SCALE_DOWN = RecommendedAction.SCALE_UP, RecommendedAction.SCALE_DOWN
FAILOVER, ROLLBACK = RecommendedAction.FAILOVER, RecommendedAction.ROLLBACK
CLEAR_CACHE = RecommendedAction.CLEAR_CACHE

RESTARTS = policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART))
FAILS_OVER = policy(Cause.BACKEND_CONNECTION_LOST, rung(FAILOVER))
SCALES = policy(Cause.BACKLOG_GROWING, rung(SCALE_UP))
INGEST = Target(kind=TargetKind.INSTANCE, name="ingest-1", service="ingest")
INGEST_SERVICE = Target(kind=TargetKind.SERVICE, name="ingest", service="ingest")
LLM = Target(kind=TargetKind.BACKEND, name="llm", service="generate")
RUNTIME = Target(kind=TargetKind.CONFIG, name="runtime", service="generate")


def silence(*matchers: str, ends_in: timedelta = timedelta(hours=1)) -> Silence:
    conditions = tuple(map(parse_matcher, matchers))
    return Silence(id="work", matchers=conditions, starts_at=NOW - s(60), ends_at=NOW + ends_in)


def well_again(*ago: float) -> list[Any]:
    """Restarts of `ingest-1`, each of which helped at once."""
    decisions = [acted(INGEST, ago=each) for each in ago]
    return [
        event
        for each in decisions
        for event in (each, result(each), verified(each, Verified.RECOVERED, at=each.created_at + s(30)))
    ]


@dataclass(frozen=True)
class Danger:
    """What would be done, if it were not for one safeguard."""

    safeguard: Safeguard
    kept_by: type
    policy: Policy
    found: Sequence[Diagnosis]
    there: Situation
    would: RecommendedAction
    before: Past = field(default_factory=Past)


LEAK = of_service(Cause.MEMORY_LEAK, "ingest", "ingest-1")
BACKLOG = of_service(Cause.BACKLOG_GROWING)
DANGERS = {
    "a deaf observer restarts what is well": Danger(
        Safeguard.DISCONNECTED, Disconnected, RESTARTS, [unavailable()], situation(silent(), hears=False), RESTART
    ),
    "an observer without a broker acts on what it saw last": Danger(
        Safeguard.DISCONNECTED, Disconnected, SCALES, [BACKLOG], situation(connected=False), SCALE_UP
    ),
    "a person who works on it is fought": Danger(
        Safeguard.PAUSED,
        Paused,
        RESTARTS,
        [unavailable()],
        situation(silent(), pause=RecoveryPause(reason="we look ourselves", ends_at=NOW + s(600))),
        RESTART,
    ),
    "maintenance is undone": Danger(
        Safeguard.MAINTENANCE,
        Maintenance,
        RESTARTS,
        [unavailable()],
        situation(silent(), silences=(silence('service="ingest"'),)),
        RESTART,
    ),
    "a release that is being rolled out is restarted": Danger(
        Safeguard.ROLLOUT,
        Rollout,
        RESTARTS,
        [unavailable(number=3)],
        situation(silent(number=3), instance(number=2, version="1.1.0")),
        RESTART,
    ),
    "what somebody has just started is scaled": Danger(
        Safeguard.ROLLOUT, Rollout, SCALES, [BACKLOG], situation(instance(started_at=NOW - s(10))), SCALE_UP
    ),
    "what is over is repaired": Danger(
        Safeguard.STALE_EVIDENCE,
        StaleEvidence,
        RESTARTS,
        [unavailable(evidence=(evidence(at=NOW - s(31)),))],
        situation(silent()),
        RESTART,
    ),
    "half the fleet is restarted because the observer hears badly": Danger(
        Safeguard.QUORUM,
        Quorum,
        RESTARTS,
        [unavailable()],
        situation(silent(), silent("embed"), silent("gateway"), silent("generate")),
        RESTART,
    ),
    "a guess is acted upon": Danger(
        Safeguard.UNSURE, Unsure, RESTARTS, [unavailable(confidence=0.59)], situation(silent()), RESTART
    ),
    "one process that sees badly moves everybody to the standby": Danger(
        Safeguard.UNSURE, Unsure, FAILS_OVER, [backend_lost(witnesses=1)], situation(), FAILOVER
    ),
    "healthy slow work is killed": Danger(
        Safeguard.NO_PROGRESS,
        NoProgress,
        policy(Cause.SLOW_CONSUMER, rung(RESTART)),
        [of_service(Cause.SLOW_CONSUMER, "ingest", "ingest-1")],
        situation(instance(waiting=1000)),
        RESTART,
    ),
    "a process that loads its model is restarted for ever": Danger(
        Safeguard.NO_PROGRESS,
        NoProgress,
        RESTARTS,
        [unavailable()],
        situation(silent(state=ProcessState.STARTING, started_at=NOW - s(200))),
        RESTART,
    ),
    "what the platform starts is started twice": Danger(
        Safeguard.NO_PROGRESS,
        NoProgress,
        policy(Cause.MEMORY_LEAK, rung(RESTART)),
        [LEAK],
        situation(silent(run=InstanceState.RESTARTING)),
        RESTART,
    ),
    "what a platform that does not answer may be starting is started, too": Danger(
        Safeguard.NO_PROGRESS,
        NoProgress,
        policy(Cause.MEMORY_LEAK, rung(RESTART)),
        [LEAK],
        situation(silent(run=None, heard_at=NOW - s(60), platform_silent=True)),
        RESTART,
    ),
    "what a person has paused is restarted": Danger(
        Safeguard.NO_PROGRESS,
        NoProgress,
        RESTARTS,
        [unavailable()],
        situation(silent(state=ProcessState.PAUSED)),
        RESTART,
    ),
    "the last one that is ready is taken away": Danger(
        Safeguard.PRECHECK,
        PreChecks,
        policy(Cause.MEMORY_LEAK, rung(RESTART)),
        [LEAK],
        situation(instance(number=2, state=ProcessState.STARTING)),
        RESTART,
    ),
    "replicas grow without end": Danger(
        Safeguard.PRECHECK,
        PreChecks,
        SCALES,
        [BACKLOG],
        situation(services={"ingest": ServiceFacts(running=4)}),
        SCALE_UP,
    ),
    "more are asked for than there is room for": Danger(
        Safeguard.PRECHECK,
        PreChecks,
        SCALES,
        [BACKLOG],
        situation(services={"ingest": ServiceFacts(running=2, possible=2)}),
        SCALE_UP,
    ),
    "work is moved to a standby that is not there": Danger(
        Safeguard.PRECHECK,
        PreChecks,
        FAILS_OVER,
        [backend_lost()],
        situation(backends={"llm": BackendFacts(service="generate", standby_available=False, standby_active=False)}),
        FAILOVER,
    ),
    "settings that have been well for hours are taken back": Danger(
        Safeguard.PRECHECK,
        PreChecks,
        policy(Cause.HIGH_ERROR_RATE, rung(ROLLBACK), two_signals=()),
        [of_service(Cause.HIGH_ERROR_RATE, "generate")],
        situation(config=ConfigFacts(current=7, previous=6, changed_at=NOW - timedelta(hours=3))),
        ROLLBACK,
    ),
    "a cache is emptied that nobody uses": Danger(
        Safeguard.PRECHECK,
        PreChecks,
        policy(Cause.HIGH_RESPONSE_TIME, rung(CLEAR_CACHE)),
        [of_service(Cause.HIGH_RESPONSE_TIME, "generate")],
        situation(),
        CLEAR_CACHE,
    ),
    "replicas go up and down": Danger(
        Safeguard.FLAPPING,
        Flapping,
        SCALES,
        [BACKLOG],
        situation(),
        SCALE_UP,
        past(acted(INGEST_SERVICE, SCALE_DOWN, ago=800)),
    ),
    "a backend is moved there and back": Danger(
        Safeguard.FLAPPING,
        Flapping,
        FAILS_OVER,
        [backend_lost()],
        situation(),
        FAILOVER,
        past(acted(LLM, FAILOVER, ago=400)),
    ),
    "settings are rolled back and forth": Danger(
        Safeguard.FLAPPING,
        Flapping,
        policy(Cause.HIGH_ERROR_RATE, rung(ROLLBACK)),
        [of_service(Cause.HIGH_ERROR_RATE, "generate")],
        situation(),
        ROLLBACK,
        past(acted(RUNTIME, ROLLBACK, ago=400)),
    ),
    "a process that dies again is restarted for ever": Danger(
        Safeguard.RESTART_STORM,
        RestartStorm,
        policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART, cooldown={"after_success": "1s", "after_failure": "1s"})),
        [unavailable()],
        situation(silent()),
        RESTART,
        past(*well_again(560, 400, 200)),
    ),
    "the second restart comes at once": Danger(
        Safeguard.RESTART_STORM,
        RestartStorm,
        policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART, cooldown={"after_success": "1s", "after_failure": "1s"})),
        [unavailable()],
        situation(silent()),
        RESTART,
        past(acted(INGEST, ago=9)),
    ),
    "what was just done is done again": Danger(
        Safeguard.COOLDOWN,
        CoolingDown,
        RESTARTS,
        [unavailable()],
        situation(silent()),
        RESTART,
        past(*well_again(250)),
    ),
    "a mistake takes the whole service away": Danger(
        Safeguard.BLAST_RADIUS,
        BlastRadius,
        RESTARTS,
        [unavailable(number=2)],
        situation(silent(), silent(number=2)),
        RESTART,
        past(acted(INGEST, ago=60)),
    ),
}


@pytest.mark.parametrize("danger", DANGERS.values(), ids=DANGERS.keys())
class TestDangers:
    def test_is_prevented_by_its_safeguard(self, danger: Danger):
        decided = decide(danger.policy, danger.found, danger.there, danger.before)

        assert decided.acts == []
        assert danger.safeguard in {each.safeguard for each in decided.decisions}

    def test_bites_without_it(self, danger: Danger):
        decided = decide(danger.policy, danger.found, danger.there, danger.before, without=danger.kept_by)

        assert [action for action, _ in decided.acts] == [danger.would]


def test_every_safeguard_has_a_danger():
    assert {danger.safeguard for danger in DANGERS.values()} == set(Safeguard)


class TestQuorum:
    WIDE = situation(*(silent(name) for name in ("embed", "gateway", "ingest", "retrieve")))

    def test_a_backend_that_fails_for_those_that_report_is_still_left(self):
        assert decide(FAILS_OVER, [backend_lost()], self.WIDE).acts == [(FAILOVER, "llm")]

    def test_those_that_are_about_to_be_silent_count_as_well(self):
        late = [instance(name, late=True) for name in ("embed", "gateway", "generate")]

        assert decide(RESTARTS, [unavailable()], situation(silent(), *late)).only.safeguard is Safeguard.QUORUM
        assert decide(RESTARTS, [unavailable()], situation(silent(), late[0])).acts == [(RESTART, "ingest-1")]

    def test_a_cache_may_be_cleared(self):
        clears = policy(Cause.HIGH_RESPONSE_TIME, rung(CLEAR_CACHE))
        slow = of_service(Cause.HIGH_RESPONSE_TIME, "retrieve")

        assert decide(clears, [slow], self.WIDE).acts == [(CLEAR_CACHE, "retrieve")]

    def test_settings_may_be_rolled_back(self):
        rolls = policy(Cause.HIGH_ERROR_RATE, rung(ROLLBACK))
        failing = of_service(Cause.HIGH_ERROR_RATE, "generate")

        assert decide(rolls, [failing], self.WIDE).acts == [(ROLLBACK, "runtime")]

    def test_no_instances_are_added(self):
        assert decide(SCALES, [BACKLOG], self.WIDE).only.safeguard is Safeguard.QUORUM

    def test_three_of_ten_are_not_too_many(self):
        there = situation(silent(), silent("embed"), silent("gateway"))

        assert decide(RESTARTS, [unavailable()], there).acts == [(RESTART, "ingest-1")]

    @pytest.mark.parametrize(("others", "acts"), [((), 1), ((silent("embed"),), 0)])
    def test_of_few_two_are_too_many(self, others, acts):
        few = (silent(), instance("gateway"), instance("retrieve"), instance("generate"), *others)
        there = Situation(connected=True, hears=True, instances=few)

        assert len(decide(RESTARTS, [unavailable()], there).acts) == acts

    def test_those_that_were_stopped_on_purpose_are_not_missed(self):
        stopped = (silent(name, run=InstanceState.STOPPED) for name in ("embed", "gateway", "generate"))

        assert decide(RESTARTS, [unavailable()], situation(silent(), *stopped)).acts == [(RESTART, "ingest-1")]


class TestNoProgress:
    @pytest.mark.parametrize(
        "ill",
        [
            silent(),
            hung(),
            instance(stuck=True),
            instance(restarts=3),
            silent(run=InstanceState.FAILED),
            instance(state=ProcessState.STARTING, started_at=NOW - s(301), stuck=True),
            silent(run=None, heard_at=NOW - s(30)),
            silent(run_since=NOW - s(301), heard_at=NOW - s(320)),
        ],
        ids=["silent", "no progress", "stuck", "crash loop", "given up", "never starts", "no platform", "never heard"],
    )
    def test_restarts(self, ill):
        assert decide(RESTARTS, [unavailable()], situation(ill)).acts == [(RESTART, "ingest-1")]

    def test_restarts_what_leaks_though_it_works(self):
        leaks = policy(Cause.MEMORY_LEAK, rung(RESTART))

        assert decide(leaks, [LEAK], situation()).acts == [(RESTART, "ingest-1")]

    def test_a_leak_elsewhere_is_no_reason(self):
        both = Policy.model_validate(
            {"ladders": {cause: [rung(RESTART)] for cause in (Cause.MEMORY_LEAK, Cause.SLOW_CONSUMER)}}
        )
        slow = of_service(Cause.SLOW_CONSUMER, "ingest", "ingest-2")

        assert decide(both, [LEAK, slow], situation()).acts == [(RESTART, "ingest-1")]

    def test_nothing_to_do_is_not_hanging(self):
        decided = decide(RESTARTS, [unavailable()], situation(instance(progresses=False, waiting=0)))

        assert decided.acts == []


class TestFlapping:
    def test_freezes_both_ways(self):
        """Given one up, and a down that was withheld: the next up is withheld, too."""
        first = acted(INGEST_SERVICE, SCALE_UP, ago=700)
        downs = policy(Cause.SLOW_CONSUMER, rung(SCALE_DOWN))
        before = past(first, result(first), verified(first, Verified.RECOVERED))
        withheld = decide(downs, [of_service(Cause.SLOW_CONSUMER)], situation(), before).only
        before.take(withheld)

        again = decide(SCALES, [BACKLOG], situation(), before).only

        assert (withheld.safeguard, again.safeguard) == (Safeguard.FLAPPING, Safeguard.FLAPPING)
        assert again.next_at == first.created_at + s(1) + timedelta(minutes=15)

    def test_the_same_way_twice_is_no_flapping(self):
        first = acted(INGEST_SERVICE, SCALE_UP, ago=400)

        assert decide(SCALES, [BACKLOG], situation(), past(first, result(first))).acts == [(SCALE_UP, "ingest")]

    def test_ends_with_its_window(self):
        assert decide(SCALES, [BACKLOG], situation(), past(acted(INGEST_SERVICE, SCALE_DOWN, ago=901))).acts

    def test_what_was_refused_was_not_done(self):
        refused = acted(INGEST_SERVICE, SCALE_DOWN, ago=100)

        assert decide(SCALES, [BACKLOG], situation(), past(refused, result(refused, CommandOutcome.REFUSED))).acts


class TestRestartStorm:
    QUICK = policy(Cause.SERVICE_UNAVAILABLE, rung(RESTART, cooldown={"after_success": "1s", "after_failure": "1s"}))

    def test_calls_a_person_when_the_budget_is_used_up(self):
        decided = decide(self.QUICK, [unavailable()], situation(silent()), past(*well_again(560, 400, 200)))

        assert decided.verdicts == [
            (RESTART, Verdict.WITHHELD),
            (RecommendedAction.CALL_PERSON, Verdict.CALL_PERSON),
        ]

    def test_forgets_after_ten_healthy_minutes(self):
        assert decide(self.QUICK, [unavailable()], situation(silent()), past(*well_again(1100, 900, 631))).acts

    def test_does_not_forget_what_never_became_well(self):
        tries = [acted(INGEST, ago=each) for each in (1100, 900, 700)]
        events = [event for each in tries for event in (each, result(each), verified(each, at=each.created_at + s(99)))]

        assert decide(self.QUICK, [unavailable()], situation(silent()), past(*events)).acts == []

    def test_delays_double_up_to_the_longest(self):
        budget = Budget()

        assert [delay(budget, after=n).total_seconds() for n in (1, 2, 3, 5, 6, 100)] == [10, 20, 40, 160, 300, 300]


class TestCooldown:
    @pytest.mark.parametrize(
        ("outcome", "rests"),
        [(CommandOutcome.DONE, 300), (CommandOutcome.FAILED, 60), (CommandOutcome.UNKNOWN, 300), (None, 300)],
    )
    def test_is_longer_after_a_success(self, outcome, rests):
        decision = acted(INGEST, ago=0)
        before = past(decision) if outcome is None else past(decision, result(decision, outcome, after=0))
        seen = evidence(at=NOW + s(rests))

        early = decide(RESTARTS, [unavailable(evidence=(seen,))], situation(silent()), before, at=NOW + s(rests - 1))
        later = decide(RESTARTS, [unavailable(evidence=(seen,))], situation(silent()), before, at=NOW + s(rests))

        assert (early.only.safeguard, early.only.next_at) == (Safeguard.COOLDOWN, NOW + s(rests))
        assert later.acts == [(RESTART, "ingest-1")]

    def test_is_of_one_action_and_target(self):
        other = acted(INGEST_SERVICE, SCALE_UP, ago=20)

        assert decide(RESTARTS, [unavailable()], situation(silent()), past(other, result(other))).acts


class TestBlastRadius:
    def test_of_many_a_share_may_be_acted_upon(self):
        many = [silent(number=n) for n in range(1, 4)] + [instance(number=n) for n in range(4, 11)]
        found = [unavailable(number=n) for n in range(1, 4)]

        assert len(decide(RESTARTS, found, situation(*many)).acts) == 2

    def test_other_services_are_not_counted(self):
        found = [unavailable(), unavailable("embed")]

        assert len(decide(RESTARTS, found, situation(silent(), silent("embed"))).acts) == 2

    def test_one_service_is_scaled_at_a_time(self):
        found = [BACKLOG, of_service(Cause.BACKLOG_GROWING, "embed")]

        assert len(decide(SCALES, found, situation()).acts) == 1


class TestMaintenance:
    @pytest.mark.parametrize(
        ("matchers", "covers"),
        [
            (['service="ingest"'], True),
            (['instance="ingest-1"'], True),
            (['instance="ingest-2"'], False),
            (['component=~"ingest|embed"'], True),
            (['alertname=~".+"'], True),
            (['alertname="InstanceDead"'], False),
            (['service="ingest"', 'severity="warning"'], False),
        ],
    )
    def test_a_silence_covers_what_it_names(self, matchers, covers):
        decided = decide(RESTARTS, [unavailable()], situation(silent(), silences=(silence(*matchers),)))

        assert (decided.acts == []) is covers

    def test_is_over_when_the_silence_is(self):
        over = silence('service="ingest"', ends_in=timedelta(0))

        assert decide(RESTARTS, [unavailable()], situation(silent(), silences=(over,))).acts


class TestRollout:
    def test_a_canary_beside_the_stable_track_is_none(self):
        canary = instance(number=2, track="canary", version="1.1.0")

        assert decide(SCALES, [BACKLOG], situation(canary)).acts

    @pytest.mark.parametrize("before", [Past(), past(acted(INGEST, ago=15))], ids=["by the platform", "by us"])
    def test_what_was_started_again_is_none(self, before):
        again = instance(started_at=NOW - s(10), restarts=0 if before.actions() else 1)

        assert decide(SCALES, [BACKLOG], situation(again), before).acts


class TestUnsure:
    def test_a_consequence_of_another_cause_is_a_second_signal(self):
        lost = backend_lost(witnesses=1)
        failing = of_service(Cause.HIGH_ERROR_RATE, "generate", impacted_by=(lost.fingerprint,))

        assert decide(FAILS_OVER, [lost, failing], situation()).acts == [(FAILOVER, "llm")]

    def test_another_thing_wrong_with_the_component_is_one(self):
        lost = backend_lost(witnesses=1)
        slow = diagnosis(Cause.SLOW_CONSUMER, Subject(component="llm"))

        assert decide(FAILS_OVER, [lost, slow], situation()).acts == [(FAILOVER, "llm")]

    def test_a_process_that_sees_it_twice_is_one_signal(self):
        twice = (evidence(service="generate", instance="generate-1"),) * 2

        assert decide(FAILS_OVER, [backend_lost(evidence=twice)], situation()).acts == []
