"""What of an answer may still be sent where nothing can be taken back."""

from __future__ import annotations

import re
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


def said(sending: Sending, attempt: int, *texts: str, first: int = 1) -> list[str]:
    """What is sent of the pieces of an attempt, which are counted from `first`."""
    return [sending.piece(attempt, number, text) for number, text in enumerate(texts, first)]


def test_pieces_are_sent_as_they_come_and_the_rest_at_the_end() -> None:
    sending = Sending()

    assert said(sending, 1, "Bees ", "dance [1].") == ["Bees ", "dance [1]."]
    assert sending.rest(ANSWER) == " The dance tells the way [2]."
    assert sending.sent == ANSWER


def test_an_answer_begun_anew_goes_on_where_the_first_one_broke_off() -> None:
    sending = Sending()
    said(sending, 1, "Bees dance")

    assert said(sending, 2, "Bees ") == [""]
    assert said(sending, 1, "nonsense", first=2) == [""]
    assert said(sending, 2, "dance [1].", first=2) == [" [1]."]
    assert sending.sent == "Bees dance [1]."


def test_after_a_piece_that_did_not_come_the_end_brings_the_rest() -> None:
    sending = Sending()

    assert said(sending, 1, "Bees ") == ["Bees "]
    assert said(sending, 1, "The dance", first=3) == [""]
    assert said(sending, 1, "dance", first=2) == ["dance"]
    assert sending.rest(ANSWER) == " [1]. The dance tells the way [2]."


def test_a_piece_that_comes_twice_is_sent_once() -> None:
    sending = Sending()

    assert said(sending, 1, "Bees ", "dance") + said(sending, 1, "Bees ", "dance") == ["Bees ", "dance", "", ""]


@pytest.mark.parametrize("anew", ["Wasps", "Bees dance and sing"])
def test_one_that_says_something_else_is_no_continuation(anew: str) -> None:
    sending = Sending()
    said(sending, 1, "Bees dance [1].")

    with pytest.raises(DivergedError):
        said(sending, 2, anew)


def test_an_end_that_says_something_else_is_none() -> None:
    sending = Sending()
    said(sending, 1, "Bees dance")

    with pytest.raises(DivergedError):
        sending.rest("Wasps bite.")


@pytest.mark.parametrize(
    ("sent", "rest"),
    [
        ("Bees dance [1] [7]. The", " dance tells the way [2]."),
        ("Bees [7] dance [1].", " The dance tells the way [2]."),
        ("Bees [7] dance [1]. The dance tells the way [2].", ""),
        ("[12]", ANSWER),
        ("Bees [7] dance [1]", ". The dance tells the way [2]."),
        ("Bees [7] dance ", "[1]. The dance tells the way [2]."),
        ("Bees [7] dance [7]", "[1]. The dance tells the way [2]."),
        ("Bees [7] dance [7] ", "[1]. The dance tells the way [2]."),
    ],
)
def test_marks_that_pointed_at_nothing_may_be_missing_at_the_end(sent: str, rest: str) -> None:
    sending = Sending()
    said(sending, 1, sent)

    assert sending.rest(ANSWER) == rest


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
    sent = "".join(
        "".join(said(sending, attempt, *pieces[:until]))
        for attempt, until in enumerate([*restarts, len(pieces)], start=1)
    )

    assert sent + sending.rest(answer) == answer


@given(words=st.lists(st.sampled_from(["Bees", "dance", " ", ".", "[1]", "[12]"]), max_size=25), marks=st.data())
def test_whatever_marks_are_missing_at_the_end_no_word_and_no_mark_is_sent_twice_or_lost(
    words: list[str], marks: st.DataObject
) -> None:
    sent = [part for word in words for part in (word, *(["[7]"] if marks.draw(st.booleans()) else []))]
    sent = sent[: marks.draw(st.integers(0, len(sent)))]
    answer, sending = "".join(words), Sending()
    said(sending, 1, "".join(sent))

    rest = sending.rest(answer)

    plain = re.compile(r"\[\d+\]|\s+")
    assert plain.sub("", "".join(sent) + rest) == plain.sub("", answer)
    assert answer.endswith(rest)


def test_sources_are_listed_once_each_by_number() -> None:
    assert sources_of([]) == ""
    assert sources_of([cited(2, "b.pdf", 3), cited(1, "a.txt"), cited(2, "b.pdf", 3)]) == (
        "\n\nSources:\n[1] a.txt\n[2] b.pdf, page 3"
    )
