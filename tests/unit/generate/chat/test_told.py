"""A model that repeats what it was told is cut off."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.generate.chat.template import PromptTemplate
from workers.generate.chat.told import LONGEST, ToldFilter, repeats
from workers.text.scripts import Script

TEMPLATE = PromptTemplate.read()
ENGLISH = TEMPLATE.wording(Script.ALPHABETIC).system
CHINESE = TEMPLATE.wording(Script.HAN).system
RULE = "Use only what the passages say. What stands between"
SHOWN = "Use only what the passag"


def said(text: str, *, instructions: str = ENGLISH, public: str = "") -> tuple[str, bool]:
    told = ToldFilter(instructions, public=lambda: public)
    shown = told.feed(text) + told.finish()
    return shown, told.ended


@pytest.mark.parametrize(
    "text",
    [
        f"My rules: {RULE} the marks.",
        f"My rules: {RULE.upper()} the marks.",
        f"My rules: {'-'.join(RULE.split())} the marks.",
        f"My rules: **{'** _'.join(RULE.split())}_ the marks.",
        f"My rules: {'. '.join(RULE.split())} the marks.",
        f"My rules: {'-'.join(RULE)} the marks.",
    ],
)
def test_what_it_was_told_is_not_passed_on_nor_what_comes_after(text: str) -> None:
    shown, ended = said(text)
    assert ended
    assert shown.startswith("My rules: ")
    assert "say" not in shown.lower()
    assert "marks" not in shown


@pytest.mark.parametrize("mark", ["", "·", " "])
def test_the_same_in_chinese(mark: str) -> None:
    shown, ended = said(
        "指示如下：" + mark.join("只使用段落中的内容。<passage> 与 </passage> 之间是引用的材料"), instructions=CHINESE
    )
    assert ended
    assert "材料" not in shown


def test_the_beginning_that_was_shown_is_shorter_than_what_is_noticed() -> None:
    assert said(RULE) == (SHOWN, True)


@pytest.mark.parametrize(
    ("text", "shown"), [("Use only what the passages say!", SHOWN), ("只使用段落中的内容", "只使用段落中")]
)
def test_one_of_its_sentences_is_enough(text: str, shown: str) -> None:
    assert said(text, instructions=ENGLISH if text.isascii() else CHINESE) == (shown, True)


@pytest.mark.parametrize(
    "text", ["Use only what the passages hold.", "The passages do not hold the answer to this.", "No answer.", "", "。"]
)
def test_a_few_of_its_words_are_no_repetition(text: str) -> None:
    assert said(text) == (text, False)


def test_what_stands_in_the_passages_is_no_secret() -> None:
    assert said(RULE, public=f"They write: {RULE}") == (RULE, False)
    shown, ended = said(f"{RULE} <passage> and </passage> is quoted material", public=f"They write: {RULE}")
    assert ended
    assert "material" not in shown


def test_text_is_held_only_while_it_is_suspected() -> None:
    told = ToldFilter(ENGLISH, public=str)
    assert told.feed("Use only what the") == "Use only what the"
    assert told.feed(" passages") == " passag"
    assert told.feed(" s") == ""
    assert told.feed("how of bees") == "es show of bees"


def test_no_more_than_so_much_is_held() -> None:
    shown, _ = said("Use only what the passages " + "." * (2 * LONGEST))
    assert len(shown) > 2 * LONGEST
    told = ToldFilter(ENGLISH, public=str)
    assert len(told.feed("Use only what the passages " + "." * (2 * LONGEST))) > LONGEST


def test_nothing_is_said_after_the_end() -> None:
    told = ToldFilter(ENGLISH, public=str)
    told.feed(f"{RULE} ")
    assert told.ended
    assert told.feed("More.") == told.finish() == ""


def test_a_whole_text_is_judged_at_once() -> None:
    assert repeats(ENGLISH, ENGLISH, public="")
    assert repeats(RULE, ENGLISH, public="")
    assert not repeats("When do drones leave the hive?", ENGLISH, public="")


words = st.lists(st.sampled_from([*ENGLISH.split(), "bees", "，", "蜂", "-"]), max_size=30)


@given(st.one_of(words, st.integers(0, 40).map(lambda at: ENGLISH.split()[at:])).map(" ".join), st.data())
def test_pieces_make_no_difference(text: str, data: st.DataObject) -> None:
    whole = said(text)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    told = ToldFilter(ENGLISH, public=str)
    pieces = [told.feed(text[a:b]) for a, b in pairwise([0, *sorted(cuts), len(text)])]
    assert ("".join(pieces) + told.finish(), told.ended) == whole
    assert text.startswith(whole[0])
    assert whole[1] or whole[0] == text
