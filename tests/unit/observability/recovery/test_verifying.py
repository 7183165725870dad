"""Whether what was done helped: told once it is known, and once."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.diagnoses import Cause, Diagnosis, RecommendedAction
from contracts.recovery import (
    CommandOutcome,
    RecoveryDecision,
    RecoveryVerification,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from deploy.recovery import POLICY
from observability.recovery import Past, Situation, Verifier, load_policy
from tests.unit.observability.recovery.fleet import (
    NOW,
    acted,
    episodes,
    incident_of,
    instance,
    past,
    result,
    s,
    silent,
    situation,
    unavailable,
    view,
)

SHIPPED = load_policy(POLICY)
FOUND = unavailable()
BEGAN = NOW - s(200)
TARGET = Target(kind=TargetKind.INSTANCE, name="ingest-1", service="ingest")


def restarted(ago: float) -> RecoveryDecision:
    decision = acted(TARGET, ago=ago, incident=incident_of(FOUND, BEGAN), rung=1)
    return decision.model_copy(update={"fingerprint": FOUND.fingerprint})


def look(
    before: Past, *found: Diagnosis, seen_ago: float, there: Situation | None = None, **changes: Any
) -> list[RecoveryVerification]:
    known = episodes(FOUND, began_at=BEGAN, last_seen_at=NOW - s(seen_ago))
    fleet = there or situation(instance(started_at=NOW - s(50)), episodes=known)
    object.__setattr__(fleet, "episodes", known)
    return Verifier(SHIPPED).verify(view(*found, **changes), fleet, before, now=NOW, token=4)


def done(ago: float, outcome: CommandOutcome = CommandOutcome.DONE) -> Past:
    decision = restarted(ago)
    return past(decision, result(decision, outcome, after=0))


class TestAfterAnAction:
    def test_a_cause_that_is_gone_for_long_enough_is_recovered(self):
        (told,) = look(done(60), seen_ago=30)

        assert (told.verified, told.incident) == (Verified.RECOVERED, incident_of(FOUND, BEGAN))
        assert told.command is not None

    def test_one_that_has_just_gone_is_waited_for(self):
        assert look(done(60), seen_ago=29) == []

    def test_what_was_gone_before_the_action_has_to_stay_away_after_it(self):
        assert look(done(29), seen_ago=100) == []

    def test_one_that_is_still_there_is_not_recovered(self):
        (told,) = look(done(120), FOUND, seen_ago=0)

        assert told.verified is Verified.NOT_RECOVERED

    def test_it_is_given_its_time(self):
        assert look(done(119), FOUND, seen_ago=0) == []

    def test_an_instance_that_does_not_come_back_is_not_recovered(self):
        there = situation(silent())

        assert look(done(119), seen_ago=100, there=there) == []
        (told,) = look(done(120), seen_ago=100, there=there)
        assert told.verified is Verified.NOT_RECOVERED
        assert told.detail == "The cause is gone, but ingest-1 is not ready."

    def test_an_instance_that_came_back_under_another_name_is_there(self):
        there = situation(silent(), instance(number=3, started_at=NOW - s(50)))

        assert [each.verified for each in look(done(60), seen_ago=40, there=there)] == [Verified.RECOVERED]

    def test_what_went_lately_is_not_judged_before_it_stays_away(self):
        assert look(done(120), seen_ago=10) == []

    @pytest.mark.parametrize(
        "blind",
        [{"at": NOW - s(31)}, {"unjudged": [Cause.SERVICE_UNAVAILABLE]}, {"there": situation(hears=False)}],
        ids=["old diagnoses", "not judged", "deaf"],
    )
    def test_without_newer_evidence_nothing_is_known(self, blind):
        assert look(done(119), seen_ago=100, **blind) == []
        (told,) = look(done(120), seen_ago=100, **blind)
        assert told.verified is Verified.UNKNOWN

    def test_unknown_is_told_once_and_becomes_known_later(self):
        before = done(120)
        (unknown,) = look(before, seen_ago=100, unjudged=[Cause.SERVICE_UNAVAILABLE])
        before.take(unknown)
        assert look(before, seen_ago=100, unjudged=[Cause.SERVICE_UNAVAILABLE]) == []

        (told,) = look(before, seen_ago=100)

        assert told.verified is Verified.RECOVERED
        assert told.id != unknown.id

    def test_what_was_perhaps_done_is_judged_too(self):
        """Given no result: it may have been done until the order expired."""
        assert look(past(restarted(59)), seen_ago=100) == []
        assert [each.verified for each in look(past(restarted(60)), seen_ago=100)] == [Verified.RECOVERED]

    def test_is_told_once(self):
        before = done(60)
        for told in look(before, seen_ago=30):
            before.take(told)

        assert look(before, seen_ago=30) == []


class TestByItself:
    def held(self, ago: float) -> RecoveryDecision:
        return restarted(ago).model_copy(update={"verdict": Verdict.OBSERVE})

    def test_a_cause_that_went_without_an_action_is_recovered_without_one(self):
        (told,) = look(past(self.held(100)), seen_ago=60)

        assert (told.verified, told.command) == (Verified.RECOVERED, None)
        assert told.detail == "The cause went away by itself."

    def test_it_has_to_stay_away(self):
        assert look(past(self.held(100)), seen_ago=59) == []

    def test_what_nobody_could_look_for_has_not_gone(self):
        assert look(past(self.held(100)), seen_ago=99, unjudged=[Cause.SERVICE_UNAVAILABLE]) == []

    def test_what_was_refused_did_not_help(self):
        (told,) = look(done(100, CommandOutcome.REFUSED), seen_ago=60)

        assert told.command is None


def test_whoever_looks_tells_the_same():
    first, second = look(done(60), seen_ago=30), look(done(60), seen_ago=30)

    assert [each.id for each in first] == [each.id for each in second]


def test_an_action_that_the_policy_has_no_more_is_judged_all_the_same():
    decision = restarted(120).model_copy(update={"action": RecommendedAction.SCALE_UP})

    assert look(past(decision), seen_ago=100)
