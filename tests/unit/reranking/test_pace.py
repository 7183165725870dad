from __future__ import annotations

import pytest

from tests.support.clocks import Clock
from workers.reranking.pace import BELIEVED_S, NEW_SHARE, Pace


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(monotonic=clock)


def test_nothing_is_expected_before_anything_is_known(pace: Pace) -> None:
    assert pace.expected_s(24) == 0


def test_the_first_time_is_believed_and_grows_with_the_texts(pace: Pace) -> None:
    pace.note(24, 0.48)
    assert pace.expected_s(12) == pytest.approx(0.24)


def test_later_times_move_the_average(pace: Pace) -> None:
    pace.note(10, 1.0)
    pace.note(10, 2.0)
    assert pace.expected_s(10) == pytest.approx(1.0 + NEW_SHARE)


def test_what_was_not_finished_never_makes_it_look_faster(pace: Pace) -> None:
    pace.note(10, 1.0)
    pace.note_unfinished(10, 0.1)
    assert pace.expected_s(10) == pytest.approx(1.0)
    pace.note_unfinished(10, 3.0)
    assert pace.expected_s(10) > 1.0


def test_after_a_while_nothing_is_known_any_more(pace: Pace, clock: Clock) -> None:
    pace.note(10, 5.0)
    clock.now += BELIEVED_S
    assert pace.expected_s(10) == pytest.approx(5.0)
    clock.now += 0.1
    assert pace.expected_s(10) == 0
    pace.note(10, 1.0)
    assert pace.expected_s(10) == pytest.approx(1.0)
