"""What of an answer may still be sent where nothing can be taken back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Citation
from gateway.openai_api.text import DivergedError, Sending, sources_of

ANSWER = "Bees dance [1]. The dance tells the way [2]."


def cited(n: int, name: str, page: int | None = None) -> Citation:
    return Citation(
        n=n, chunk_id="c", document_id="d", generation="g", name=name, page=page, start=0, end=4, quote="Bees"
    )


def test_pieces_are_sent_as_they_come_and_the_rest_at_the_end() -> None:
    sending = Sending()

    assert [sending.piece(1, "Bees "), sending.piece(1, "dance [1].")] == ["Bees ", "dance [1]."]
    assert sending.rest(ANSWER) == " The dance tells the way [2]."
    assert sending.sent == ANSWER


def test_an_answer_begun_anew_goes_on_where_the_first_one_broke_off() -> None:
    sending = Sending()
    sending.piece(1, "Bees dance")

    assert [sending.piece(2, "Bees "), sending.piece(1, "nonsense"), sending.piece(2, "dance [1].")] == [
        "",
        "",
        " [1].",
    ]
    assert sending.sent == "Bees dance [1]."


@pytest.mark.parametrize("anew", ["Wasps", "Bees dance and sing"])
def test_one_that_says_something_else_is_no_continuation(anew: str) -> None:
    sending = Sending()
    sending.piece(1, "Bees dance [1].")

    with pytest.raises(DivergedError):
        sending.piece(2, anew)


def test_an_end_that_says_something_else_is_none() -> None:
    sending = Sending()
    sending.piece(1, "Bees dance")

    with pytest.raises(DivergedError):
        sending.rest("Wasps sting.")


def test_marks_that_pointed_at_nothing_may_be_missing_at_the_end() -> None:
    sending = Sending()
    sending.piece(1, "Bees dance [1] [7]. The")

    assert sending.rest(ANSWER) == " dance tells the way [2]."


@given(
    words=st.lists(st.text("abc [1]", min_size=1, max_size=6), max_size=20),
    cuts=st.lists(st.integers(0, 120), max_size=6),
    restarts=st.lists(st.integers(0, 5), max_size=2),
)
def test_however_it_is_cut_and_begun_anew_the_text_is_the_answer(
    words: list[str], cuts: list[int], restarts: list[int]
) -> None:
    answer, sending = "".join(words), Sending()
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    pieces = [answer[a:b] for a, b in pairwise(edges)]
    sent = ""
    for attempt, until in enumerate([*restarts, len(pieces)], start=1):
        for piece in pieces[:until]:
            sent += sending.piece(attempt, piece)

    assert sent + sending.rest(answer) == answer


def test_sources_are_listed_once_each_by_number() -> None:
    assert sources_of([]) == ""
    assert sources_of([cited(2, "b.pdf", 3), cited(1, "a.txt"), cited(2, "b.pdf", 3)]) == (
        "\n\nSources:\n[1] a.txt\n[2] b.pdf, page 3"
    )
