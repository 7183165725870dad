"""Citation markers, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.generate.markers import LONGEST, MarkerFilter


def said(text: str, *, passages: int = 3, step: int | None = None, cut: bool = False) -> tuple[str, int]:
    markers = MarkerFilter(passages)
    step = step or max(1, len(text))
    pieces = [markers.feed(text[at : at + step]) for at in range(0, len(text), step)]
    return "".join(pieces) + markers.finish(cut=cut), markers.removed


@pytest.mark.parametrize(
    ("text", "shown", "removed"),
    [
        ("Bees dance [1].", "Bees dance [1].", 0),
        ("Bees dance [7].", "Bees dance.", 1),
        ("Bees dance [0] and hum [2].", "Bees dance and hum [2].", 1),
        ("Both [1, 2]. All [1,2,9].", "Both [1][2]. All [1][2].", 1),
        ("Twice [2, 2].", "Twice [2].", 0),
        ("蜜蜂跳舞【1】。它们飞【4】。", "蜜蜂跳舞[1]。它们飞。", 1),
        ("A [Passage 2], a [source 3], a [来源1].", "A [2], a [3], a [1].", 0),
        ("Both [Passage 1, Passage 2], [1 and 3], [^2], ［1］, [#2 & #7].", "Both [1][2], [1][3], [2], [1], [2].", 1),
        (
            "All [1-3], all [1–2], from [1990-1995] to [2-9] [3-1].",
            "All [1][2][3], all [1][2], from [1990-1995] to [2-9] [3-1].",
            0,
        ),
        ("Keep [this] and [sic].", "Keep [this] and [sic].", 0),
        ("In code `a[7]` stays, outside [7] goes.", "In code `a[7]` stays, outside goes.", 1),
        ("Not closed: `a[7] and [8]\nthen [1]", "Not closed: `a and\nthen [1]", 2),
        ("```c\nx[7] = `y`;\n```\nEnd [7].", "```c\nx[7] = `y`;\n```\nEnd.", 1),
        ("No fence ```\na [7]\n```", "No fence ```\na\n```", 1),
        ("```a` [7]\n[8]", "```a`\n", 2),
        ("In a bracket [a `b`] and `c` [7].", "In a bracket [a `b`] and `c`.", 1),
        ("``[7]`` [1]", "```` [1]", 1),
        ("Open [ bracket\nand [1", "Open [ bracket\nand [1", 0),
        ("Nested [[2]] here", "Nested [[2]] here", 0),
        ("[" + "x" * 100, "[" + "x" * 100, 0),
        ("Spaces   stay.  And  [1]  too ", "Spaces   stay.  And  [1]  too ", 0),
        ("12345 [12345]", "12345 [12345]", 0),
        ("", "", 0),
    ],
)
@pytest.mark.parametrize("step", [None, 1, 2, 5])
def test_known_markers_stay_and_unknown_ones_go(text: str, shown: str, removed: int, step: int | None) -> None:
    assert said(text, step=step) == (shown, removed)


@pytest.mark.parametrize(
    "half",
    [
        "[",
        "[1",
        "[12",
        "[1,",
        "[1, 2",
        "[1 an",
        "[1 and 2",
        "[1-",
        "[ 1",
        "[#",
        "[Pass",
        "[Passage",
        "[source 2",
        "【来",
        "［1",
    ],
)
@pytest.mark.parametrize("step", [None, 1])
def test_half_a_marker_at_the_end_of_a_reply_that_was_cut_is_left_out(half: str, step: int | None) -> None:
    assert said(f"Bees dance [1] {half}", step=step, cut=True) == ("Bees dance [1]", 0)
    assert said(f"Bees dance [1] {half}", step=step) == (f"Bees dance [1] {half}", 0)


@pytest.mark.parametrize(
    "text", ["See [the", "In code `a[1]`", "```\na[1", "Of [1990s", "Whole [2]", "An x[1]y", "No bracket "]
)
def test_what_is_no_half_of_a_marker_stays_where_a_reply_was_cut(text: str) -> None:
    assert said(text, cut=True) == (text, 0)


@given(
    st.lists(st.sampled_from(["1", "23", "Passage 4", "source 5", "#6", "^7", "来源8"]), min_size=1, max_size=3),
    st.sampled_from([", ", ",", "; ", " and ", "和"]),
    st.data(),
)
def test_every_beginning_of_a_marker_is_half_a_marker(numbers: list[str], between: str, data: st.DataObject) -> None:
    marker = f"[{between.join(numbers)}]"
    kept = data.draw(st.integers(1, len(marker) - 1))
    assert said(f"Bees dance{marker[:kept]}", cut=True) == ("Bees dance", 0)


@given(st.text(alphabet="ab 1239-[]【】［］,`\n", max_size=80), st.integers(1, 7))
def test_pieces_make_no_difference(text: str, step: int) -> None:
    assert said(text, step=step) == said(text)


@given(st.text(max_size=80))
def test_text_without_brackets_is_left_alone(text: str) -> None:
    plain = text.translate(dict.fromkeys(map(ord, "[]【】［］")))
    assert said(plain) == (plain, 0)


def test_no_more_is_held_back_than_a_marker_takes() -> None:
    markers = MarkerFilter(3)
    assert markers.feed("Bees dance") == "Bees dance"
    assert markers.feed(" [1") == ""
    assert markers.feed("]") == " [1]"
    assert markers.feed("[" + "9" * LONGEST) == "[" + "9" * LONGEST
