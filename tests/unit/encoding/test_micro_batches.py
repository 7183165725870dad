"""Every text in exactly one call, no call above the bound, little padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.encoding.micro_batches import micro_batches

LENGTHS = st.lists(st.integers(min_value=0, max_value=300), max_size=60)


@given(LENGTHS, st.integers(min_value=1, max_value=1000))
def test_every_text_is_in_exactly_one_call_within_the_bound(lengths: list[int], most: int) -> None:
    groups = list(micro_batches(lengths, most_tokens=most))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= most


@given(LENGTHS, st.integers(min_value=1, max_value=1000))
def test_texts_of_like_length_go_together(lengths: list[int], most: int) -> None:
    flat = [lengths[i] for group in micro_batches(lengths, most_tokens=most) for i in group]
    assert flat == sorted(lengths, reverse=True)
