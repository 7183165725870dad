from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.queries import GenerationParameters
from tests.unit.generate.making import answer, passage
from workers.text.tokens import count_tokens

BEES = (
    "The apiary stands on a hill. A colony of honey bees needs twenty kilograms of stores to survive the winter. "
    "Drones leave in autumn. The keeper weighs each hive in October."
)
HONEY = "蜂场位于山坡上。洋槐蜜的含水量不得超过百分之二十。蜂农每年十月称重。样品保存两年。"
WASPS = "Wasps build nests of paper. They hunt caterpillars."


async def test_the_sentence_that_answers_is_quoted_with_its_place():
    _, said = await answer("How much stores does a colony need for winter?", passage(BEES, start=500, page=3))
    assert said.answered
    assert "twenty kilograms" in said.text
    cited = next(c for c in said.citations if "twenty" in c.quote)
    assert (cited.document_id, cited.generation, cited.name, cited.page, cited.heading) == (
        "d",
        "g1",
        "d.txt",
        3,
        "Bees",
    )
    assert BEES[cited.start - 500 : cited.end - 500] == cited.quote
    assert f"[{cited.n}]" in said.text


async def test_a_chinese_question_is_answered_in_chinese():
    _, said = await answer("洋槐蜜的含水量不得超过多少？", passage(HONEY))
    assert said.answered
    assert "百分之二十" in said.text


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        ("Who invented the steam engine?", WASPS, "The documents hold no answer to this question."),
        ("蒸汽机是谁发明的？", HONEY, "文档中没有这个问题的答案。"),
    ],
)
async def test_it_says_plainly_in_the_language_of_the_question_that_there_is_no_answer(question, text, said):
    pieces, found = await answer(question, passage(text))
    assert not found.answered
    assert (found.text, pieces, found.citations) == (said, [said], ())


async def test_without_passages_there_is_no_answer():
    _, found = await answer("How much stores does a colony need?")
    assert not found.answered


async def test_the_pieces_are_the_answer():
    pieces, found = await answer(
        "How much stores does a colony need for winter?", passage(BEES), passage(WASPS, document_id="w", score=0.2)
    )
    assert "".join(pieces) == found.text
    assert found.usage.completion_tokens == count_tokens(found.text)
    assert found.usage.prompt_tokens > count_tokens(BEES)


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_no_more_sentences_than_allowed(most):
    question = "How much stores does a colony of bees need in winter, and when does the keeper weigh the hive?"
    _, found = await answer(question, passage(BEES), most_sentences=most)
    assert 1 <= len(found.citations) <= most
    assert [c.n for c in found.citations] == list(range(1, len(found.citations) + 1))


async def test_a_sentence_repeated_by_overlapping_passages_is_said_once():
    second = BEES.index("A colony")
    overlapping = passage(BEES[second:], start=second, score=0.7)
    _, found = await answer("How much stores does a colony need for winter?", passage(BEES), overlapping)
    assert found.text.count("twenty kilograms") == 1


async def test_sentences_that_follow_one_another_are_said_in_their_order_without_marks_between():
    text = "The winter cluster needs stores. Twenty kilograms of stores keep the cluster through winter."
    _, found = await answer("What stores keep the winter cluster?", passage(text))
    assert found.text == f"{text} [1][2]"


async def test_line_breaks_inside_a_sentence_are_shown_as_spaces_but_quoted_as_they_are():
    text = "A colony needs twenty\nkilograms of stores for the winter."
    _, found = await answer("What stores does a colony need for the winter?", passage(text))
    assert "twenty kilograms" in found.text
    assert found.citations[0].quote == text


async def test_a_passage_without_sentences_is_taken_whole():
    whole = passage(BEES).model_copy(update={"sentences": ()})
    _, found = await answer("How much stores does a colony of bees need in winter?", whole)
    assert found.citations[0].quote == BEES


async def test_what_looks_like_a_citation_in_a_document_is_quoted_and_not_said():
    text = "Drones leave the hive in August [7], see 【12†source】 and [2]."
    pieces, made = await answer("When do drones leave the hive?", passage(text))
    assert made.text == "Drones leave the hive in August, see 【12†source】 and. [1]"
    assert "".join(pieces) == made.text
    assert [c.quote for c in made.citations] == [text]


async def test_a_number_is_preferred_where_one_is_asked_for():
    text = "The winter stores of a colony matter. The winter stores of a colony are 20 kilograms."
    _, found = await answer("How many kilograms are the winter stores of a colony?", passage(text), most_sentences=1)
    assert "20" in found.text


@given(most=st.integers(1, 60))
async def test_max_tokens_is_never_exceeded(most):
    question = "How much stores does a colony of bees need in winter, and when does the keeper weigh the hive?"
    _, found = await answer(question, passage(BEES), parameters=GenerationParameters(max_tokens=most))
    assert 0 < count_tokens(found.text) <= most
    for cited in found.citations:
        assert BEES[cited.start : cited.end] == cited.quote


async def test_a_sentence_cut_short_is_quoted_as_far_as_it_is_said():
    _, found = await answer(
        "How much stores does a colony need for winter?",
        passage(BEES),
        parameters=GenerationParameters(max_tokens=6),
    )
    assert found.citations[0].quote == found.text
    assert BEES[found.citations[0].start : found.citations[0].end] == found.text


async def test_nothing_is_said_from_a_stop_sequence_on():
    _, found = await answer(
        "How much stores does a colony need for winter?",
        passage(BEES),
        parameters=GenerationParameters(stop=("kilograms",)),
    )
    assert found.text.endswith("needs twenty")
    assert all("kilograms" not in c.quote for c in found.citations)


async def test_the_same_question_and_passages_give_the_same_answer():
    asked = ("When does the keeper weigh the hive?", passage(BEES), passage(WASPS, document_id="w"))
    assert await answer(*asked) == await answer(*asked)


async def test_what_two_copies_say_is_said_once():
    text = "Turn the panel to the south. Tilt the panel at 60 degrees."
    _, single = await answer("How is the panel tilted?", passage(text, document_id="a"))
    _, double = await answer(
        "How is the panel tilted?", passage(text, document_id="a"), passage(f" {text.upper()}", document_id="b")
    )
    assert double.text == single.text
    assert {citation.document_id for citation in double.citations} == {"a"}
