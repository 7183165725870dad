from __future__ import annotations

import pytest

from cli.evaluation import Passage, Question, Reply
from cli.evaluation.metrics import holds, report, without_marks


def question(document_id="a", answers=("twenty kilograms",)):
    return Question(question="How much?", document_id=document_id, answers=answers)


def reply(answer="", *, answered=True, passages=()):
    return Reply(answer=answer, answered=answered, passages=tuple(Passage(document_id=d, text=t) for d, t in passages))


RIGHT = reply("It needs twenty\nKilograms. [1]", passages=[("a", "twenty  kilograms"), ("b", "")])
LATE = reply("No idea.", passages=[("b", ""), ("a", "something")])
REFUSED = reply("The documents hold no answer: twenty kilograms", answered=False, passages=[("b", "Twenty kilograms")])


def test_every_figure_counts_what_it_says():
    figures = report([(question(), RIGHT), (question(), LATE), (question(), REFUSED)], [REFUSED, LATE], [True, False])
    assert (figures.questions, figures.unanswerable, figures.citations) == (3, 2, 2)
    assert figures.hit_at_1 == pytest.approx(1 / 3)
    assert figures.hit_at_5 == pytest.approx(2 / 3)
    assert figures.passage_at_5 == pytest.approx(2 / 3)
    assert figures.answer_holds_span == pytest.approx(1 / 3)
    assert figures.false_refusals == pytest.approx(1 / 3)
    assert figures.unanswerable_recognised == pytest.approx(1 / 2)
    assert figures.citations_exact == pytest.approx(1 / 2)


def test_only_the_first_five_passages_count():
    sixth = reply(passages=[*[("b", "")] * 5, ("a", "twenty kilograms")])
    figures = report([(question(), sixth)], [], [])
    assert (figures.hit_at_5, figures.passage_at_5) == (0, 0)


def test_what_was_not_asked_has_no_figure():
    figures = report([], [], [])
    assert figures.hit_at_1 is None
    assert figures.unanswerable_recognised is None
    assert figures.citations_exact is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A B\n c d", True), ("x a-b-cd", False), ("b  C", True), ("", False)],
)
def test_spans_are_found_whatever_their_case_and_white_space(text, expected):
    assert holds(text, ["B c"]) is expected


def test_marks_that_a_document_has_of_its_own_are_part_of_the_answer():
    quoting = reply("It was shown [7] twice. [1]")
    figures = report(
        [(question(answers=("shown [7] twice",)), quoting), (question(answers=("twice.",)), quoting)], [], []
    )
    assert figures.answer_holds_span == 1


def test_citation_marks_are_no_part_of_the_answer():
    assert without_marks("One. [1][2] Two. [3]") == "One. Two."
