from __future__ import annotations

import pytest

from workers.text.questions import content_terms, keyword_query


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What does the heating cost?", ["heat", "cost"]),
        ("How many bees are in a hive?", ["bee", "hive"]),
        ("蜂蜜是什么颜色？", ["蜂", "蜜", "是", "蜂蜜", "蜜是", "颜", "色", "颜色"]),
        ("谁是CEO？", ["是", "ceo"]),
    ],
)
def test_words_that_only_ask_are_left_out(question, expected):
    assert content_terms(question) == expected


def test_a_question_of_asking_words_alone_keeps_them():
    assert content_terms("What? How?") == ["what", "how"]
    assert content_terms("为什么？") == ["为", "什", "么", "为什", "什么"]


def test_each_term_is_looked_for_once():
    assert keyword_query("bees and bees and a bee") == "bee"


def test_a_question_without_words_looks_for_nothing():
    assert keyword_query("?!") == ""
