from __future__ import annotations

import pytest

from workers.text.terms import MAX_TERM_LENGTH, keyword_text, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The vaccines were tested", ["vaccin", "were", "test"]),
        ("BERT的参数", ["bert", "的", "参", "数", "的参", "参数"]),
        ("ＧＰＵ 2025年", ["gpu", "2025", "年"]),
        ("Maße", ["mass"]),
        ("state-of-the-art", ["state", "art"]),
        ("…!?", []),
    ],
)
def test_words_are_folded_and_stemmed_and_ideographs_become_characters_and_pairs(text, expected):
    assert terms(text) == expected


def test_long_words_are_cut_to_what_engines_keep():
    assert terms("x1" * 100) == [("x1" * 100)[:MAX_TERM_LENGTH]]


def test_name_and_heading_are_searched_too():
    assert keyword_text("body", heading="Refunds", name="policy.md") == "polici md refund bodi"


def test_a_pair_never_spans_punctuation():
    assert "一二" not in terms("一，二")
