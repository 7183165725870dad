"""From the first diagnosis to the end of an incident, look after look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts.diagnoses import RecommendedAction
from contracts.platforms import InstanceState
from contracts.recovery import RecoveryCommand, Verdict, Verified
from deploy.recovery import POLICY
from observability.recovery import Decider, Episode, InstanceFacts, Past, Verifier, load_policy
from tests.unit.observability.recovery.fleet import (
    NOW,
    evidence,
    instance,
    result,
    s,
    silent,
    situation,
    unavailable,
    view,
)

INTERVAL_S = 15.0


class Story:
    """One instance of `ingest`, of which `at` tells how it is so many seconds after the first look, and since when."""

    def __init__(self, at: Callable[[float, float | None], InstanceFacts], *, factor: float = 1.0) -> None:
        policy = load_policy(POLICY).scaled(factor)
        self._decider, self._verifier = Decider(policy), Verifier(policy)
        self._at, self._interval_s = at, INTERVAL_S * factor
        self._past, self._last_seen = Past(), NOW
        self.commands: list[tuple[float, RecoveryCommand]] = []
        self.told: list[tuple[Verdict, RecommendedAction]] = []
        self.verified: list[tuple[Verified, bool]] = []

    def run(self, *, looks: int) -> Story:
        for number in range(looks):
            self._look(number * self._interval_s)
        return self

    def _look(self, after_s: float) -> None:
        now = NOW + s(after_s)
        there = self._at(after_s, self.commands[0][0] if self.commands else None)
        found = [unavailable(evidence=(evidence(at=now),), at=now)] if there.silent else []
        self._last_seen = now if found else self._last_seen
        episode = Episode(began_at=NOW, last_seen_at=self._last_seen)
        seen = situation(replace(there, heard_at=now), episodes={unavailable().fingerprint: episode})
        for verification in self._verifier.verify(view(*found, at=now), seen, self._past, now=now, token=1):
            self._past.take(verification)
            self.verified.append((verification.verified, verification.command is not None))
        for decision in self._decider.decide(view(*found, at=now), seen, self._past, now=now, token=1):
            self._past.take(decision)
            self.told.append((decision.verdict, decision.action))
            if decision.verdict is Verdict.ACT:
                self.commands.append((after_s, self._decider.command(decision, seen, now=now, token=1)))
                self._past.take(result(decision))


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_a_worker_that_hangs_is_restarted_once_and_has_recovered(factor):
    def hangs(after_s: float, restarted_s: float | None) -> InstanceFacts:
        if restarted_s is None or after_s <= restarted_s:
            return silent()
        return instance(started_at=NOW + s(restarted_s))

    story = Story(hangs, factor=factor).run(looks=40)

    assert story.told == [(Verdict.ACT, RecommendedAction.RESTART_SERVICE)]
    assert [command.target.name for _, command in story.commands] == ["ingest-1"]
    assert story.verified == [(Verified.RECOVERED, True)]


def test_one_that_does_not_come_back_is_a_persons():
    story = Story(lambda *_: silent()).run(looks=400)

    assert story.told == [
        (Verdict.ACT, RecommendedAction.RESTART_SERVICE),
        (Verdict.CALL_PERSON, RecommendedAction.CALL_PERSON),
    ]
    assert story.verified == [(Verified.NOT_RECOVERED, True)]


def test_one_that_dies_is_left_to_the_platform_and_has_recovered_without_an_action():
    def dies(after_s: float, _: float | None) -> InstanceFacts:
        return silent(run=InstanceState.RESTARTING) if after_s < 30 else instance(started_at=NOW + s(5), restarts=1)

    story = Story(dies).run(looks=40)

    assert story.commands == []
    assert [verdict for verdict, _ in story.told] == [Verdict.OBSERVE]
    assert story.verified == [(Verified.RECOVERED, False)]


def test_one_that_the_platform_cannot_start_any_more_is_started():
    def gives_up(after_s: float, _: float | None) -> InstanceFacts:
        return silent(run=InstanceState.RESTARTING if after_s < 60 else InstanceState.FAILED)

    story = Story(gives_up).run(looks=10)

    assert [verdict for verdict, _ in story.told] == [Verdict.OBSERVE, Verdict.ACT]
