"""Quiet is what was looked at, not what nobody looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contracts.diagnoses import Cause, DiagnosesView
from workers.observer.recovery.sight import Sight

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEAK, ERRORS = Cause.MEMORY_LEAK, Cause.HIGH_ERROR_RATE


def view(after_s: float, *unjudged: Cause) -> DiagnosesView:
    return DiagnosesView(at=NOW + timedelta(seconds=after_s), unjudged=unjudged)


def looked(*looks: DiagnosesView) -> Sight:
    sight = Sight(timedelta(seconds=30))
    for each in looks:
        sight.look(each, hears=True)
    return sight


def test_it_lasts_while_one_look_follows_another() -> None:
    assert looked(view(0), view(20), view(40)).look(view(60), hears=True) == dict.fromkeys(Cause, NOW)


def test_a_gap_begins_it_anew() -> None:
    assert set(looked(view(0), view(20)).look(view(60), hears=True).values()) == {view(60).at}


def test_who_does_not_hear_sees_nothing() -> None:
    sight = looked(view(0), view(20))

    assert sight.look(view(25), hears=False) == {}
    assert sight.look(view(30), hears=True)[LEAK] == view(30).at


def test_what_cannot_be_judged_is_not_seen_and_the_rest_is() -> None:
    sight = looked(view(0), view(20, LEAK))

    seen = sight.look(view(40), hears=True)
    assert (seen[LEAK], seen[ERRORS]) == (view(40).at, NOW)
