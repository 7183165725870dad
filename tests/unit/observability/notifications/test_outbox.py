"""What waits for a channel, and when it is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observability.notifications.errors import DeliveryError
from observability.notifications.outbox import LONGEST_PAUSE, LONGEST_REST, Outbox, Waiting
from observability.notifications.pipeline import Due
from tests.unit.observability.notifications.examples import MORNING

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine may take its time."""

S = timedelta(seconds=1)


def due(group: str = "g", *, within: timedelta = 300 * S) -> Due:
    return Due(group_key=group, channel="mail", receiver="team", deadline=MORNING + within)


def outbox(*, jitter: float = 1.0, capacity: int = 10) -> Outbox:
    return Outbox(jitter=lambda: jitter, capacity=capacity)


def taken(box: Outbox, now: datetime = MORNING) -> Waiting:
    waiting = box.take(now)
    assert waiting is not None
    return waiting


def test_a_group_waits_once_and_the_newest_word_counts() -> None:
    box = outbox()
    box.offer(due(within=10 * S), MORNING)
    box.offer(due(within=99 * S), MORNING)

    assert taken(box).due.deadline == MORNING + 99 * S
    assert box.take(MORNING) is None


def test_a_full_box_refuses_new_groups_only() -> None:
    box = outbox(capacity=2)

    assert [box.offer(due(group), MORNING) for group in ("a", "b", "c", "a")] == [True, True, False, True]
    assert len(box) == 2


def test_pauses_double_up_to_a_minute() -> None:
    box = outbox()
    box.offer(due(within=timedelta(hours=1)), MORNING)
    now, pauses = MORNING, []
    for _ in range(8):
        box.failed(taken(box, now), DeliveryError("down"), now)
        following = box.next_at()
        assert following is not None
        pauses.append((following - now) / S)
        now = following

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@RELAXED
@given(jitter=st.floats(0, 1), attempts=st.integers(0, 200))
def test_jitter_takes_half_of_a_pause_at_most(jitter: float, attempts: int) -> None:
    box = outbox(jitter=jitter)
    box.offer(due(within=timedelta(hours=1)), MORNING)
    waiting = taken(box)
    waiting.attempts = attempts
    box.failed(waiting, DeliveryError("down"), MORNING)

    whole = min(S * 2 ** min(attempts, 10), LONGEST_PAUSE)
    assert whole / 2 <= waiting.ready_at - MORNING <= whole


def test_what_is_refused_is_not_tried_again() -> None:
    box = outbox()
    box.offer(due(), MORNING)

    assert not box.failed(taken(box), DeliveryError("no", final=True), MORNING)
    assert len(box) == 0


def test_there_is_no_attempt_past_the_groups_next_turn() -> None:
    box = outbox()
    box.offer(due(within=S), MORNING)

    assert not box.failed(taken(box), DeliveryError("down"), MORNING)


def test_a_receiver_that_asks_to_be_left_alone_is_left_alone_by_all_groups() -> None:
    box = outbox()
    for group in ("a", "b"):
        box.offer(due(group), MORNING)
    box.failed(taken(box), DeliveryError("busy", retry_after_s=90), MORNING)

    assert box.take(MORNING + 89 * S) is None
    assert box.next_at() == MORNING + 90 * S
    assert box.take(MORNING + 90 * S) is not None


def test_it_is_left_alone_also_by_what_comes_later() -> None:
    box = outbox()
    box.offer(due(), MORNING)

    assert not box.failed(taken(box), DeliveryError("busy", retry_after_s=600), MORNING)
    box.offer(due("later"), MORNING + 300 * S)
    assert box.next_at() == MORNING + 600 * S


def test_nobody_is_left_alone_for_ever() -> None:
    box = outbox()
    box.offer(due(), MORNING)
    box.failed(taken(box), DeliveryError("busy", retry_after_s=1e12), MORNING)
    box.offer(due(), MORNING)

    assert box.next_at() == MORNING + LONGEST_REST


def test_one_that_fails_does_not_hold_up_the_others() -> None:
    box = outbox()
    for group in ("a", "b"):
        box.offer(due(group), MORNING)
    box.failed(taken(box), DeliveryError("down"), MORNING)

    assert taken(box).due.group_key == "b"


def test_a_turn_that_comes_during_an_attempt_is_not_forgotten() -> None:
    box = outbox()
    box.offer(due(within=300 * S), MORNING)
    waiting = taken(box)
    box.offer(due(within=600 * S), MORNING + 299 * S)
    box.failed(waiting, DeliveryError("down"), MORNING + 299 * S)

    assert taken(box, MORNING + 299 * S).due.deadline == MORNING + 600 * S


@pytest.mark.parametrize("final", [True, False])
def test_a_refusal_can_ask_to_be_left_alone_too(final: bool) -> None:
    box = outbox()
    box.offer(due(), MORNING)
    box.failed(taken(box), DeliveryError("no", final=final, retry_after_s=30), MORNING)
    box.offer(due("other"), MORNING)

    assert box.take(MORNING + 29 * S) is None
