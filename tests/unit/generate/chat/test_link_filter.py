"""Links in what a model says: those of cited passages stay, all others go, however the text comes in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.injection import links
from tests.unit.generate.making import passage
from workers.generate.base import Removed
from workers.generate.chat.link_filter import REACH, LinkFilter
from workers.generate.chat.links import LONGEST, addresses

SHOP = passage(
    "Order at https://shop.example/order?id=7. More in [the guide](https://docs.example/guide/) or www.bees.example."
)
MAIL = passage("Write to keeper@bees.example or see ftp://files.example/a and bees.example/forum.", document_id="e")
PASSAGES = (SHOP, MAIL)

FRAGMENTS = (
    "https://", "http:", "www", ".", "//", "/", "evil.example", "shop.example/order?id=7", "https://shop.example/order?id=7",
    "[", "]", "](", "(", ")", "!", "![", "<", "<<", ">", "<b>", "<a href=", "<img src=", "<i id=q>", "<i id=q>.evil.example", "<https://>", "href=/out", "<http:", "a@b", "www.bees.example", "https://www.bees.example",
    ".evil.example", "。", "=", ":", '"', "`", "```",
    "\n", " ", "[1]", "[2]", "@", "a", "bees", "?", "ftp://files.example/a", "mailto:", "&#58;", "蜂", "。", "<!--", "-->",
    "[x]: ", "\\", "'", "bees.example/forum", "javascript:alert(1)", "[x](https://docs.example/guide)", "data:",
)  # fmt: skip


def shown(text: str, *, step: int | None = None) -> tuple[str, dict[Removed, int]]:
    links = LinkFilter(PASSAGES)
    step = step or max(1, len(text))
    pieces = [links.feed(text[at : at + step]) for at in range(0, len(text), step)]
    return "".join(pieces) + links.finish(), dict(links.removed)


@pytest.mark.parametrize(
    "text",
    [
        "Order at https://shop.example/order?id=7 [1].",
        "Order at https://shop.example/order?id=7. [1]",
        "[1] says: http://shop.example/order?id=7!",
        'See [here](https://docs.example/guide "Guide") [1] or www.bees.example [1].',
        "See <https://docs.example/guide> [1].",
        "![a picture](https://docs.example/guide/) [1]",
        "Write to keeper@bees.example [2], or look at bees.example/forum [2], ftp://files.example/a [2].",
        "订购：https://shop.example/order?id=7。[1]",
        "在https://shop.example/order?id=7订购，价格十元。[1]",
        "(See https://shop.example/order?id=7), [1]",
        'The page "https://shop.example/order?id=7"[1]',
        "`https://shop.example/order?id=7` [1]",
        "Both https://docs.example/guide and keeper@bees.example [2][1].",
    ],
)
def test_links_of_passages_that_are_cited_stay(text: str) -> None:
    assert shown(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("See https://evil.example/?q=1 [1].", "See  [1]."),
        ("See [here](https://evil.example/) [1].", "See [here] [1]."),
        ("![chart](//evil.example/c.png) [1]", "![chart] [1]"),
        ("Order at https://shop.example/order?id=8 [1].", "Order at  [1]."),
        ("Order at https://shop.example/order [1].", "Order at  [1]."),
        ("Order at https://shop.example/order?id=7 [2].", "Order at  [2]."),
        ("Order at https://shop.example/order?id=7\n[1]", "Order at \n[1]"),
        ("Order at https://shop.example/order?id=7 `[1]`", "Order at  `[1]`"),
        (
            "See www.evil.example, or evil.example/x, or a@evil.example. [1][2]",
            "See , or evil.example, or a@evil. [1][2]",
        ),
        ("<img src=x onerror=a> [1] <script>b</script>", " [1] b"),
        ("<svg/onload=a><details open ontoggle=b>", ""),
        ("Open <a href='https://docs.example/guide' [1]", "Open a href='https://docs.example/guide' [1]"),
        ("https:/<i a=b>/evil.example/x", "https:/"),
        ("https://www.bees.example<i a=b>.evil.example/x [1]", ".evil.example [1]"),
        ("https://docs.example/guide.<i a=b>x [1]", ".x [1]"),
        ("https://docs.example/guide<a=b [1]", "a=b [1]"),
        ("www.bees.example).evil.example/x [1]", " [1]"),
        ('https://docs.example/guide">secret [1]', '">secret [1]'),
        ("[x](https://docs.example/guide)secret [1]", "[x]secret [1]"),
        ("https://docs.example/guide[secret] [1]", "[secret] [1]"),
        ("www.bees.example。evil.example [1]", "。evil.example [1]"),
        ('www.bees.example".evil.example [1]', '".evil.example [1]'),
        ("<https://evil.example/x> <tel:117> <a@b> <7@b.c> <x:y>", "    <x:y>"),
        ("<<i a=b>img src=//evil.example/x>", "img src=/>"),
        ("www<i a=b>.evil.example", "www"),
        ("[x]<i a=b>(/out)", "[x]"),
        ("[x]((/out)", "[x]"),
        ("[x] [y]\n\n[x]: /out\n> [y]:\n/out", "[x] [y]\n\n[x] /out\n> [y]\n/out"),
        ("See [1]: it is so, [2].\n[1]: so", "See [1]: it is so, [2].\n[1] so"),
        ("[x](\n/out)", "[x]\n/out)"),
        ("&#104;ttps://evil.example https&#58;//evil.example", "&#104;ttps:/ https&#58;/"),
        ("访问https://evil.example/x获取。[1]", "访问获取。[1]"),
    ],
)
def test_all_others_go(text: str, left: str) -> None:
    assert shown(text)[0] == left


@pytest.mark.parametrize(
    "text",
    [
        "Is a < b, and b > c? a<b, 3/4, and/or, 9:30, e.g. this. See [1], (x), [y] (z), f(x), a[0]() and `a[0]`.",
        "Use <br> or <b>bold</b>; List<String>; <file>; x << 2; cat <<EOF; if a <b",
        "It is www, http, a colon: // and an @ at hive@home. Wait... what?! 蜂蜜（十二月）。",
        "# Title\n\n- one\n- two\n\n| a | b |\n|---|---|\n\n    // code\n",
        "",
    ],
)
def test_what_is_no_link_stays_as_it_is(text: str) -> None:
    assert shown(text) == (text, {})


def test_a_link_waits_no_longer_than_it_has_to() -> None:
    links = LinkFilter(PASSAGES)
    assert links.feed("Order at ") == "Order at "
    assert links.feed("https://shop.example/order?id=7 now") == ""
    assert links.feed(" [1]") == "https://shop.example/order?id=7 now [1]"
    assert links.feed(" or www.bees.example ") == " or www.bees.example "
    assert links.feed(" keeper@bees.example " + "x" * REACH) == " keeper@bees" + " " + "x" * REACH
    assert links.removed == {Removed.LINK: 1}


@pytest.mark.parametrize("opening", ["https://evil.example/", "[x](", "<a href=", "<!--", "![a](x"])
def test_what_never_ends_is_not_held_for_ever(opening: str) -> None:
    links = LinkFilter(PASSAGES)
    said = links.feed(opening + "y" * (2 * LONGEST) + " [1] and on")
    assert said.endswith("and on")
    assert len(said) <= len(opening) + 2 * LONGEST + 11


def test_what_was_removed_is_counted_by_what_it_was() -> None:
    assert shown("https://evil.example [x](/y) <img src=x> <b>")[1] == {Removed.LINK: 2, Removed.MARKUP: 1}


hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join)


@given(hostile, st.lists(st.integers(0, 200), max_size=6))
def test_pieces_make_no_difference_and_nothing_is_added(text: str, cuts: list[int]) -> None:
    whole, removed = shown(text)
    links = LinkFilter(PASSAGES)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [links.feed(text[a:b]) for a, b in pairwise(edges)]
    assert "".join(pieces) + links.finish() == whole
    assert links.removed == removed
    rest = iter(text)
    assert all(character in rest for character in whole)


@given(hostile)
def test_whatever_a_model_says_readers_get_no_link_from_elsewhere(text: str) -> None:
    """Judged by a Markdown renderer, which knows nothing of this filter."""
    known = " ".join(p.text for p in PASSAGES)
    for link in links(shown(text)[0]):
        assert link.removeprefix("http://").removeprefix("https://").rstrip("/").removeprefix("mailto:") in known


def test_addresses_are_found_in_markup_too() -> None:
    assert addresses('<a href="https://a.example/x">a</a> [b](https://b.example) c.example/y') == {
        "a.example/x", "b.example", "c.example/y",
    }  # fmt: skip
