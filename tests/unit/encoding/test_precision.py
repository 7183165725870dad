"""Reduced precision is chosen only when it is faster and says the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.unit.encoding.fakes import LetterModel
from workers.encoding.precision import FIRST_ROUNDS, ROUNDS, Measurement, measure
from workers.encoding.token_model import Encoded, Tokens


@pytest.mark.parametrize(
    ("cosine", "speedup", "worthwhile"),
    [(0.9999, 2.0, True), (0.9989, 2.0, False), (0.9999, 1.1, False), (0.9999, 0.3, False)],
)
def test_both_closeness_and_speed_are_needed(cosine: float, speedup: float, worthwhile: bool) -> None:
    assert Measurement(cosine=cosine, speedup=speedup).worthwhile is worthwhile


class Ascii(LetterModel):
    """Letters beyond its states count as one."""

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        return super().tokenize(["".join(c if c.isascii() else "?" for c in text) for text in texts])


class Coarse(Ascii):
    """Loses one sample's meaning."""

    def forward(self, batch: Sequence[Tokens]) -> list[Encoded]:
        first, *others = super().forward(batch)
        return [Encoded(vector=first.vector[::-1].copy(), states=first.states), *others]


def _clock(*durations: float) -> Iterator[float]:
    now = 0.0
    for duration in durations:
        yield now
        now += duration
        yield now


def test_the_speedup_is_the_ratio_of_the_times() -> None:
    ticks = _clock(*(1.0, 0.5) * FIRST_ROUNDS, *(3.0, 1.5) * ROUNDS)
    measured = measure(Ascii(), Ascii(), clock=lambda: next(ticks))
    assert measured.speedup == pytest.approx(2.0)
    assert measured.cosine == pytest.approx(1.0)


def test_times_that_others_prolonged_do_not_count() -> None:
    ticks = _clock(*(1.0, 1.0) * FIRST_ROUNDS, *(3.0, 30.0), *(9.0, 1.0), *(3.0, 1.5), *(30.0, 1.5), *(3.0, 9.0))
    assert measure(Ascii(), Ascii(), clock=lambda: next(ticks)).speedup == pytest.approx(3.0)


def test_a_candidate_that_is_far_slower_on_one_text_is_not_tried_on_more() -> None:
    ticks, slow = _clock(*(1.0, 3.0) * FIRST_ROUNDS), Ascii()
    measured = measure(Ascii(), slow, clock=lambda: next(ticks))
    assert not measured.worthwhile
    assert set(slow.calls) == {1}


def test_the_worst_sample_decides_about_closeness() -> None:
    ticks = _clock(*(1.0, 0.5) * FIRST_ROUNDS, *(1.0, 0.5) * ROUNDS)
    assert measure(Ascii(), Coarse(), clock=lambda: next(ticks)).cosine < 0.9
