"""What is known of before: the same in whatever order it is told, and bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.diagnoses import RecommendedAction
from contracts.recovery import (
    CommandOutcome,
    RecoveryApproval,
    Safeguard,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from observability.recovery import Past
from tests.unit.observability.recovery.fleet import NOW, acted, past, result, s, verified

ONE = Target(kind=TargetKind.INSTANCE, name="ingest-1", service="ingest")
OTHER = Target(kind=TargetKind.INSTANCE, name="embed-1", service="embed")
FIRST, SECOND, THIRD = acted(ONE, ago=300), acted(OTHER, ago=200), acted(ONE, ago=100)
HELD = FIRST.model_copy(
    update={"id": "held", "verdict": Verdict.WITHHELD, "safeguard": Safeguard.COOLDOWN, "created_at": NOW - s(50)}
)
APPROVAL = RecoveryApproval(decision=HELD.id, approved=True, reason="go", created_at=NOW)
EVENTS = [
    FIRST,
    SECOND,
    THIRD,
    HELD,
    APPROVAL,
    result(FIRST),
    result(FIRST, CommandOutcome.FAILED, after=9),
    result(SECOND, CommandOutcome.REFUSED),
    verified(FIRST, Verified.UNKNOWN, at=NOW - s(150)),
    verified(FIRST, Verified.RECOVERED, at=NOW - s(140)),
    APPROVAL.model_copy(update={"approved": False, "created_at": NOW + s(1)}),
]


def known(of: Past) -> tuple[object, ...]:
    return (
        of.actions(),
        [(incident, of.decisions(incident), of.verifications(incident)) for incident in of.incidents()],
        of.approval(HELD.id),
        of.streak(ONE, reset_after=s(600), now=NOW),
        of.withheld(ONE.key, Safeguard.COOLDOWN, since=NOW - s(60)),
    )


@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS), max_size=6))
def test_order_and_repeats_change_nothing(order, repeated):
    assert known(past(*order, *repeated)) == known(past(*EVENTS))


@given(st.permutations(EVENTS))
def test_what_is_kept_of_too_much_does_not_depend_on_the_order(order):
    few = Past(most=2)
    for event in order:
        few.take(event)

    assert [each.decision.id for each in few.actions()] == [SECOND.id, THIRD.id]


def test_the_first_result_counts():
    first, *_ = past(*EVENTS).actions()

    assert (first.outcome, first.at) == (CommandOutcome.DONE, FIRST.created_at + s(1))


def test_what_was_captured_is_not_kept():
    (action,) = past(FIRST, result(FIRST).model_copy(update={"captured": "stacks"})).actions()

    assert action.result == result(FIRST)


def test_the_first_answer_of_a_person_counts():
    answer = past(*EVENTS).approval(HELD.id)

    assert answer is not None
    assert answer.approved


def test_the_newest_verification_counts():
    first, *_ = past(*EVENTS).actions()

    assert (first.verified, first.is_open) == (Verified.RECOVERED, False)


def test_what_was_refused_was_not_done():
    assert [each.target for each in past(*EVENTS).since(NOW - s(250))] == [ONE]


def test_the_last_action_is_that_on_the_target():
    last = past(*EVENTS).last(ONE, RecommendedAction.RESTART_SERVICE)

    assert last is not None
    assert last.decision == THIRD
    assert past(*EVENTS).last(OTHER, RecommendedAction.ROLLBACK) is None


def test_a_streak_ends_when_all_was_well_for_long_enough():
    well = past(FIRST, result(FIRST), verified(FIRST, Verified.RECOVERED, at=NOW - s(250)), THIRD)

    assert [each.decision for each in well.streak(ONE, reset_after=s(150), now=NOW)] == [THIRD]
    assert [each.decision for each in well.streak(ONE, reset_after=s(151), now=NOW)] == [FIRST, THIRD]


def test_a_cause_that_came_back_is_not_over():
    over = past(FIRST, verified(FIRST, Verified.RECOVERED, at=NOW - s(140)))
    again = HELD.model_copy(update={"incident": FIRST.incident})

    assert over.recovered_at(FIRST.incident) == NOW - s(140)
    over.take(again)
    assert over.recovered_at(FIRST.incident) is None


def test_decisions_that_order_nothing_never_push_out_those_that_do():
    few = Past(most=2)
    few.take(FIRST)
    for number in range(9):
        few.take(HELD.model_copy(update={"id": f"held-{number}"}))

    assert [each.decision for each in few.actions()] == [FIRST]


def test_a_copy_goes_its_own_way():
    one = past(FIRST)
    other = one.copy()
    other.take(SECOND)

    assert (len(one.actions()), len(other.actions())) == (1, 2)
