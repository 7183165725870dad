from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.generate.making import passage
from workers.generate.selection import NEAR_BEST, select
from workers.generate.sentences import Sentence

TEXT = "One. Two. Three. Four. Five. "
SOURCE = passage(TEXT)


def sentence(number: int, score: float, *, source=SOURCE) -> Sentence:
    span = source.sentences[number]
    return Sentence(
        passage=source,
        start=span.start,
        end=span.end,
        found=frozenset(),
        similarity=None,
        score=score,
        source=source.document_id,
    )


def texts(groups):
    return [[s.text for s in group] for group in groups]


def test_the_best_come_first_and_neighbours_in_the_order_of_the_text():
    candidates = [sentence(0, 0.9), sentence(2, 0.8), sentence(3, 1.0), sentence(4, 0.1)]
    assert texts(select(candidates, most=3)) == [["Three.", "Four."], ["One."]]


def test_sentences_far_below_the_best_are_left_out():
    assert texts(select([sentence(0, 1.0), sentence(2, NEAR_BEST - 0.01)], most=3)) == [["One."]]


def test_sentences_of_different_documents_are_never_neighbours():
    other = passage("Zero. ", document_id="e")
    assert len(select([sentence(0, 1.0), sentence(0, 0.9, source=other)], most=3)) == 2


def test_of_nothing_nothing_is_selected():
    assert select([], most=3) == []


@given(scores=st.lists(st.floats(0.1, 2), min_size=5, max_size=5), most=st.integers(1, 5))
def test_at_most_so_many_each_once_and_the_best_among_them(scores, most):
    candidates = [sentence(number, score) for number, score in enumerate(scores)]
    chosen = [s for group in select([*candidates, *candidates], most=most) for s in group]
    assert 1 <= len(chosen) <= most
    assert len({s.place for s in chosen}) == len(chosen)
    assert max(scores) in [s.score for s in chosen]
