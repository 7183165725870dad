"""Sliding windows: never more than the limit in any time as long as the window, whatever is spent late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.rate_limits import RateUsage, RateWindow, windows_of
from messaging.rate_limits.counting import changed, reopens_at, room, slot_s

NOW = 1_800_000_000.0
MINUTE = RateWindow(60, 60)


def counted(*taken: tuple[float, int], windows: tuple[RateWindow, ...] = (MINUTE,)) -> RateUsage:
    usage = RateUsage()
    for at, units in taken:
        usage = changed(usage, windows, units, at=at, now=at)
    return usage


def test_what_was_counted_leaves_less_room():
    assert room(counted((NOW, 20), (NOW + 1, 5)), MINUTE, NOW + 2) == 35


def test_room_comes_back_when_the_window_and_two_slots_are_over():
    usage = counted((NOW, 60))
    reopens = reopens_at(usage, MINUTE, NOW + 1)

    assert room(usage, MINUTE, reopens - 0.001) == 0
    assert room(usage, MINUTE, reopens) == 60
    assert NOW + 60 < reopens <= NOW + 62


def test_it_reopens_with_the_first_slot_that_makes_room():
    usage = counted((NOW, 1), (NOW + 30, 59))

    assert room(usage, MINUTE, reopens_at(usage, MINUTE, NOW + 31)) == 1


def test_what_is_given_back_is_room_again():
    usage = changed(counted((NOW, 60)), (MINUTE,), -10, at=NOW, now=NOW + 5)

    assert room(usage, MINUTE, NOW + 5) == 10


def test_all_windows_are_counted_and_old_slots_forgotten():
    windows = windows_of("5/10s,60/m")
    usage = counted((NOW, 3), (NOW + 40, 1), windows=windows)

    assert {span: sum(slots.values()) for span, slots in usage.counts.items()} == {10: 1, 60: 4}


def test_a_clock_that_is_a_little_ahead_is_believed_and_one_that_is_far_ahead_is_not():
    assert room(counted((NOW + 30, 10)), MINUTE, NOW) == 50
    assert room(counted((NOW + 3600, 10)), MINUTE, NOW) == 60


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 5), st.floats(0, 1)), min_size=1, max_size=60),
    st.sampled_from([RateWindow(7, 10), RateWindow(20, 60), RateWindow(3, 1)]),
)
def test_never_more_than_the_limit_in_any_window(steps, window):
    usage, now, spent = RateUsage(), NOW, []
    for pause, wanted, late in steps:
        now += pause * window.span_s / 20
        units = min(wanted, room(usage, window, now))
        if units > 0:
            usage = changed(usage, (window,), units, at=now, now=now)
            spent += [now + late * slot_s(window) * 0.999] * units

    assert all(sum(start <= each < start + window.span_s for each in spent) <= window.requests for start in spent)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("", []),
        ("300/m", [(300, 60)]),
        ("5000/h, 20/10s,300/m", [(20, 10), (300, 60), (5000, 3600)]),
        ("1/s", [(1, 1)]),
    ],
)
def test_limits_are_read(text, windows):
    assert [(each.requests, each.span_s) for each in windows_of(text)] == windows


@pytest.mark.parametrize(
    "text",
    ["x", "10", "10/", "10/d", "0/m", "-1/m", "10/0s", "10/25h", "1/s,2/s", "1/s,1/2s,1/3s,1/4s", "1.5/m", "٣/m"],
)
def test_what_is_no_limit_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="for example 20/10s"):
        windows_of(text)
