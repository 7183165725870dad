"""What a reader sees of repeated, reordered and superseded answer events."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Delta, Retrieved
from messaging.answer_order import AnswerOrder, position


def delta(event_id: str) -> Delta:
    return Delta(query_id="q", id=event_id, text="x")


def seen(*ids: str, after: str | None = None) -> list[str]:
    order = AnswerOrder(after)
    return [event_id for event_id in ids if order.admit(delta(event_id))]


def test_each_event_passes_once() -> None:
    assert seen("0.1", "1.1", "1.1", "1.2", "1.1") == ["0.1", "1.1", "1.2"]


def test_a_higher_attempt_voids_what_still_comes_of_a_lower_one() -> None:
    assert seen("1.1", "1.2", "2.1", "1.3", "2.2") == ["1.1", "1.2", "2.1", "2.2"]


def test_a_resumed_reader_gets_only_what_follows_its_last_event() -> None:
    assert seen("0.1", "1.1", "1.2", "1.3", after="1.2") == ["1.3"]


@pytest.mark.parametrize(
    ("before", "event_id", "gap"),
    [
        ((), "0.1", False),
        ((), "1.1", True),
        (("0.1",), "1.1", False),
        (("0.1",), "1.2", True),
        (("1.1",), "1.2", False),
    ],
)
def test_what_comes_before_an_event_is_missed(before: tuple[str, ...], event_id: str, gap: bool) -> None:
    order = AnswerOrder()
    for earlier in before:
        order.admit(delta(earlier))
    assert order.gap_before(delta(event_id)) is gap
    assert order.begun is bool(before)


def test_ids_are_compared_as_numbers() -> None:
    assert seen("1.9", "1.10", after="1.2") == ["1.9", "1.10"]


@pytest.mark.parametrize("wrong", ["", "1", "1.", "a.b", "1.2.3", "-1.2", "1.٣", "9" * 30 + ".1"])
def test_what_is_no_event_id_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="looks like"):
        AnswerOrder(wrong)


@pytest.mark.parametrize(
    ("before", "event", "gap"),
    [(None, "0.1", False), ("0.1", "1.1", False), ("1.1", "1.2", False), ("1.1", "1.3", True), ("1.4", "2.2", True)],
)
def test_a_missing_event_is_noticed(before: str | None, event: str, gap: bool) -> None:
    assert AnswerOrder(before).gap_before(delta(event)) is gap


def test_passages_come_before_any_piece_of_the_answer() -> None:
    order = AnswerOrder()
    assert order.admit(delta("1.1"))
    assert not order.admit(Retrieved(query_id="q", passages=()))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=30))
def test_whatever_arrives_is_shown_in_strictly_rising_order(arrivals: list[tuple[int, int]]) -> None:
    shown = [position(event_id) for event_id in seen(*(f"{a}.{n}" for a, n in arrivals))]
    assert all(a < b for a, b in itertools.pairwise(shown))
