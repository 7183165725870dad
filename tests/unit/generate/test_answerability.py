from __future__ import annotations

import pytest

from tests.unit.generate.making import passage
from workers.generate.answerability import MODELS, MOST_CONTRAST, Evidence, confidence, evidence, is_answered
from workers.generate.sentences import sentences
from workers.text.matching import QuestionTerms
from workers.text.scripts import Script

QUESTION = "Where does the queen lay eggs?"  # queen, lay, egg


def judged(question, *passages):
    terms = QuestionTerms(question)
    return terms, sentences(question, terms, passages, similarity_counts=True)


def test_evidence_is_how_much_of_the_question_is_found_together():
    found = evidence(
        *judged(
            QUESTION,
            passage("The queen is here. She lays much.", document_id="a"),
            passage("Eggs hatch.", document_id="b"),
        )
    )
    assert found.sentence == pytest.approx(1 / 3)
    assert found.document == pytest.approx(2 / 3)
    assert found.anywhere == pytest.approx(1.0)
    assert found.contrast == pytest.approx(1 / 3)


def test_a_document_alone_is_ahead_of_nothing():
    assert evidence(*judged(QUESTION, passage("The queen lays eggs."))).contrast == MOST_CONTRAST


@pytest.mark.parametrize("script", list(Script))
def test_more_evidence_never_makes_an_answer_less_likely(script):
    steps = [
        confidence(Evidence(sentence=x, document=x, anywhere=x, contrast=0.4 * x), MODELS[script]) for x in (0, 0.5, 1)
    ]
    assert steps == sorted(steps)
    assert steps[0] < MODELS[script].threshold < steps[-1]


def test_a_sentence_much_like_the_question_is_an_answer_in_other_words():
    terms, alike = judged(
        "Can I get my money back?",
        passage("Refunds are paid within a week.", similarity=0.8),
        passage("Ships sail. Dogs bark. Rain falls.", document_id="b", similarity=0.1),
    )
    assert is_answered(terms, alike, Script.ALPHABETIC)


def test_an_encoder_that_finds_everything_similar_shows_nothing():
    terms, alike = judged(
        "Can I get my money back?",
        passage("Refunds are paid within a week.", similarity=0.85),
        passage("Ships sail. Dogs bark. Rain falls.", document_id="b", similarity=0.8),
    )
    assert not is_answered(terms, alike, Script.ALPHABETIC)


def test_a_question_without_any_word_has_no_answer():
    terms, found = judged("?!", passage("The queen lays eggs."))
    assert not is_answered(terms, found, Script.ALPHABETIC)


HIVE = "The queen lays eggs in spring. She rests in winter."


def test_a_copy_of_a_document_takes_nothing_from_its_evidence():
    alone = evidence(*judged(QUESTION, passage(HIVE, document_id="a")))
    with_copy = evidence(*judged(QUESTION, passage(HIVE, document_id="a"), passage(HIVE, document_id="b")))
    assert with_copy == alone


def test_a_version_that_differs_in_a_sentence_is_no_competitor():
    other = HIVE.replace("winter", "autumn")
    found = evidence(*judged(QUESTION, passage(HIVE, document_id="a"), passage(other, document_id="b")))
    assert found.contrast == MOST_CONTRAST


def test_a_document_that_repeats_a_single_sentence_of_many_is_its_own():
    other = "The queen lays eggs in spring. The drone is a male. The queen is one. The eggs are many."
    found = evidence(*judged(QUESTION, passage(HIVE, document_id="a"), passage(other, document_id="b")))
    assert found.contrast < MOST_CONTRAST


def test_a_document_that_says_some_of_the_same_keeps_its_own_sentences():
    eiffel = passage(
        "The Eiffel Tower is a tower in Paris. It was completed in 1889. It is open daily.", document_id="a"
    )
    bridge = passage(
        "The Forth Bridge is a long railway bridge in Scotland. It was completed in 1889. It is open daily.",
        document_id="b",
    )
    _, found = judged("When was the Forth Bridge completed?", eiffel, bridge)
    assert {s.source for s in found if s.passage is bridge} == {"b"}
    assert "It was completed in 1889." in [s.text for s in found if s.passage is bridge]
