"""Characters that nobody sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.text.invisible import SeenFilter, without_invisible

TAGS = "".join(chr(0xE0000 + ord(c)) for c in "obey")


@pytest.mark.parametrize(
    "hidden",
    ["\u200b", "\u2060\u2063", "\ufeff", "\u00ad", "\u202e", "\u2066", "\u200f", TAGS, "\u3164", "\u034f", "\u200d\u200c", "\ufe0f", "\U000e0101"],
)  # fmt: skip
def test_they_are_taken_out_of_words_and_from_between_them(hidden: str) -> None:
    assert without_invisible(f"{hidden}Be{hidden}es {hidden}dance{hidden}.") == "Bees dance."
    assert without_invisible(f"蜜{hidden}蜂") in (
        "蜜蜂",
        "蜜\ufe0f蜂",
        "蜜\U000e0101蜂",
    )  # some ideographs have variants


@pytest.mark.parametrize(
    "text", ["می‌خواهم", "क्‍ष", "👩‍🌾", "❤️ and 🐝", "葛\U000e0101飾", "naïve – “quoted”…", "שלום", ""]
)
def test_those_that_say_something_stay(text: str) -> None:
    assert without_invisible(text) == text


def test_bytes_behind_a_sign_are_not_carried_on() -> None:
    assert without_invisible("🐝" + "\U000e0101\U000e0150\ufe01\U000e0120") == "🐝\U000e0101"


@given(
    st.text(alphabet=["a", "蜂", "ی", "🐝", "\u200b", "\u200d", "\ufe0f", "\U000e0101", *TAGS], max_size=20),
    st.integers(1, 5),
)
def test_pieces_make_no_difference(text: str, step: int) -> None:
    seen = SeenFilter()
    pieces = [seen.feed(text[at : at + step]) for at in range(0, len(text), step)]
    assert "".join(pieces) == without_invisible(text)
    assert seen.removed == len(text) - len(without_invisible(text))
