"""What holds whatever happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.diagnoses import Cause, Diagnosis, Subject
from contracts.health import ProcessState
from contracts.platforms import InstanceState
from contracts.recovery import RecoveryDecision, TargetKind, Verdict
from deploy.recovery import POLICY
from observability.recovery import ConfigFacts, Decider, Past, ServiceFacts, Situation, load_policy
from tests.unit.observability.recovery.fleet import (
    NOW,
    SERVICES,
    diagnosis,
    episodes,
    evidence,
    hung,
    instance,
    of_service,
    result,
    s,
    situation,
    unavailable,
    verified,
    view,
)

SHIPPED = load_policy(POLICY)
NUMBERS = range(1, 13)
AGES = st.sampled_from([0.0, 5.0, 20.0, 400.0])


def rarely(odd: st.SearchStrategy[Any], usual: Any) -> st.SearchStrategy[Any]:
    """A fleet in which everything is odd is one that nothing is done about: that is no test."""
    return st.one_of(*[st.just(usual)] * 9, odd)


INSTANCES = st.builds(
    instance,
    st.sampled_from(SERVICES),
    st.sampled_from(NUMBERS),
    silent=rarely(st.just(True), False),
    state=rarely(st.sampled_from(ProcessState), ProcessState.READY),
    progresses=rarely(st.just(False), True),
    waiting=st.sampled_from([0, 9]),
    stuck=rarely(st.just(True), False),
    restarts=rarely(st.just(3), 0),
    run=rarely(st.sampled_from([None, *InstanceState]), InstanceState.RUNNING),
    heard_at=AGES.map(lambda ago: NOW - s(ago)),
    started_at=st.one_of(*[st.just(NOW - timedelta(hours=1))] * 40, st.just(NOW - s(10))),
    version=st.one_of(*[st.just("1.0.0")] * 40, st.just("1.1.0")),
)
SITUATIONS = st.builds(
    lambda many, changed, **facts: situation(
        *many, config=ConfigFacts(current=2, previous=1, changed_at=changed), **facts
    ),
    st.lists(INSTANCES, max_size=24),
    AGES.map(lambda ago: NOW - s(ago)),
    connected=rarely(st.just(False), True),
    hears=rarely(st.just(False), True),
    services=st.just({name: ServiceFacts(running=2, has_cache=True) for name in SERVICES}),
)
SUBJECTS = st.one_of(
    st.builds(lambda service: Subject(component=service, service=service), st.sampled_from(SERVICES)),
    st.builds(
        lambda service, number: Subject(component=service, service=service, instance=f"{service}-{number}"),
        st.sampled_from(SERVICES),
        st.sampled_from([1, 2, 3]),
    ),
    st.just(Subject(component="llm", service="generate")),
    st.just(Subject(component="gateway")),
)
DIAGNOSES = st.builds(
    lambda cause, subject, ago, sure: diagnosis(cause, subject, confidence=sure, evidence=(evidence(at=NOW - s(ago)),)),
    st.sampled_from(Cause),
    SUBJECTS,
    rarely(AGES, 5.0),
    rarely(st.just(0.3), 0.95),
)
FOUND = st.lists(DIAGNOSES, min_size=1, max_size=12, unique_by=lambda each: each.fingerprint)


def decided(found: list[Diagnosis], there: Situation, before: Past, *, at: datetime = NOW) -> list[RecoveryDecision]:
    return Decider(SHIPPED).decide(view(*found, at=at), there, before, now=at, token=1)


def acts(
    found: list[Diagnosis], there: Situation, before: Past | None = None, *, at: datetime = NOW
) -> list[RecoveryDecision]:
    return [each for each in decided(found, there, before or Past(), at=at) if each.verdict is Verdict.ACT]


def is_well(there: Situation, name: str) -> bool:
    found = there.instance(name)
    return found is None or (
        found.is_ready and found.progresses and found.restarts < 3 and found.run is InstanceState.RUNNING
    )


@given(FOUND, SITUATIONS)
def test_an_instance_that_is_well_and_does_not_leak_is_never_restarted(found, there):
    leaking = {each.subject.instance for each in found if each.cause is Cause.MEMORY_LEAK}

    for act in acts(found, there):
        assert act.target is not None
        assert (
            act.target.kind is not TargetKind.INSTANCE
            or act.target.name in leaking
            or not is_well(there, act.target.name)
        )


@given(FOUND, SITUATIONS)
def test_nothing_is_done_while_blind(found, there):
    assert acts(found, replace(there, hears=False)) == []
    assert acts(found, replace(there, connected=False)) == []


@given(FOUND, SITUATIONS)
def test_what_is_done_has_a_target_written_out_that_a_diagnosis_names(found, there):
    named = {each.fingerprint: each.subject for each in found}

    for act in acts(found, there):
        subject = named[act.fingerprint]
        assert act.target is not None
        assert act.target.service in {subject.service, subject.component}


@given(
    st.integers(1, 15),
    st.frozensets(st.integers(1, 15), min_size=1),
    st.frozensets(st.sampled_from(SERVICES)),
    st.lists(st.sampled_from([1, 15, 40, 90, 130]), min_size=1, max_size=6),
)
def test_never_more_than_the_blast_radius(size, ill, growing, pauses):
    """Given that everything that is ordered is done at once, and does not help."""
    hangs = [hung(number=n) if n in ill else instance(number=n) for n in range(1, size + 1)]
    there = replace(situation(), instances=tuple(hangs))
    before, now = Past(), NOW
    for pause in pauses:
        now += s(pause)
        seen: dict[str, Any] = {"evidence": (evidence(at=now),), "at": now}
        found = [unavailable(number=n, **seen) for n in sorted(ill) if n <= size]
        found += [of_service(Cause.BACKLOG_GROWING, name, **seen) for name in sorted(growing)]
        for act in acts(found, there, before, at=now):
            before.take(act)
            before.take(result(act, after=0))
            before.take(verified(act, at=now))

        recent = {action.target.key: action.target.kind for action in before.since(now - s(120))}
        assert Counter(recent.values())[TargetKind.INSTANCE] <= max(1, size // 5)
        assert Counter(recent.values())[TargetKind.SERVICE] <= 1


@given(FOUND, SITUATIONS, st.randoms(use_true_random=False))
def test_the_order_of_what_is_seen_decides_nothing(found, there, random: Random):
    def shuffled(items: Any) -> list[Any]:
        return random.sample(list(items), len(items))

    mixed = replace(there, instances=tuple(shuffled(there.instances)))
    one = decided(found, there, Past())
    other = decided(shuffled(found), mixed, Past())

    assert one == other


@given(FOUND, SITUATIONS)
def test_where_nothing_changes_there_is_soon_nothing_to_tell(found, there):
    """What was done in a round may hold something else back in the next one; then all is said."""
    began = {key: episode for each in found for key, episode in episodes(each, began_at=NOW).items()}
    known, before = replace(there, episodes=began), Past()
    rounds = []
    for second in range(3):
        rounds.append(decided(found, known, before, at=NOW + s(second)))
        for each in rounds[-1]:
            before.take(each)

    assert Verdict.ACT not in {each.verdict for each in rounds[1]}
    assert rounds[2] == []
