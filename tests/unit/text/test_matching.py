from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.text.matching import QuestionTerms, coverage, weights
from workers.text.terms import terms

TEXTS = st.text(alphabet=st.sampled_from("abc 蜂蜜王乳，.A"), max_size=40)


@given(question=TEXTS, text=TEXTS)
def test_what_is_found_are_the_common_terms(question, text):
    looked_for = QuestionTerms(question)
    assert looked_for.found_in(text) == frozenset(looked_for.terms) & frozenset(terms(text))


def test_words_match_in_every_form():
    assert QuestionTerms("Who inspects colonies?").found_in("The colony was inspected.") == {"inspect", "coloni"}


def test_rare_terms_weigh_more_than_common_ones():
    weight = weights(["rare", "common"], [frozenset({"common"}), frozenset({"common", "rare"}), frozenset({"common"})])
    assert weight["rare"] > weight["common"] > 0


def test_coverage_is_the_share_of_the_weight():
    assert coverage(frozenset({"a"}), {"a": 3.0, "b": 1.0}) == pytest.approx(0.75)
    assert coverage(frozenset(), {}) == 0.0


def test_function_words_show_nothing_unless_there_is_nothing_else():
    assert QuestionTerms("Which bees do we keep?").share({"bee"}) == pytest.approx(0.5)
    assert QuestionTerms("Is it ours?").share({"our"}) > 0


def test_a_pair_of_ideographs_counts_twice():
    question = QuestionTerms("蜂蜜")
    assert question.share({"蜂"}) == pytest.approx(0.25)
    assert question.share(question.found_in("蜂蜜")) == pytest.approx(1.0)
    assert QuestionTerms("?").share(frozenset()) == 0.0
