from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.text.tokens import count_tokens, cut_at_tokens


def test_ideographs_signs_and_bits_of_words_are_tokens():
    assert count_tokens("蜂蜜, internationally") == 2 + 1 + 3


@given(text=st.text(max_size=60), most=st.integers(min_value=1, max_value=30))
def test_a_cut_text_is_a_beginning_with_at_most_so_many_tokens(text, most):
    cut = cut_at_tokens(text, most)
    assert text.startswith(cut)
    assert count_tokens(cut) == min(most, count_tokens(text))
