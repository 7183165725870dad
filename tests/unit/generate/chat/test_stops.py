"""Stop sequences, in whatever pieces a reply comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.generate.chat.stops import StopGate


def said(text: str, *stops: str, step: int = 1) -> tuple[str, bool]:
    gate = StopGate(stops)
    shown = ""
    for at in range(0, len(text), step):
        shown += gate.feed(text[at : at + step])
        if gate.reached:
            return shown, True
    return shown + gate.finish(), False


@pytest.mark.parametrize(
    ("text", "stops", "shown", "reached"),
    [
        ("Bees dance. END They hum.", ("END",), "Bees dance. ", True),
        ("Bees dance.", ("END",), "Bees dance.", False),
        ("Bees dance. EN", ("END",), "Bees dance. EN", False),
        ("ENEND", ("END",), "EN", True),
        ("aab", ("ab",), "a", True),
        ("one\ntwo", ("two", "\n"), "one", True),
        ("Bees", (), "Bees", False),
        ("Bees", ("",), "Bees", False),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 100])
def test_a_reply_ends_before_the_first_of_them(
    text: str, stops: tuple[str, ...], shown: str, reached: bool, step: int
) -> None:
    assert said(text, *stops, step=step) == (shown, reached)


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.integers(1, 5))
def test_what_is_shown_is_what_comes_before_all_of_them(text: str, stops: list[str], step: int) -> None:
    shown, reached = said(text, *stops, step=step)
    ends = [text.find(stop) for stop in stops if stop in text]
    assert reached == bool(ends)
    if not reached:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)


def test_no_more_is_held_back_than_may_become_one() -> None:
    gate = StopGate(["END"])
    assert gate.feed("Bees E") == "Bees "
    assert gate.feed("a") == "Ea"
