"""Where sentences end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.ingest.sentences import line_spans, sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs $3.14 today. Buy it.", ["It costs $3.14 today.", "Buy it."]),
        ("Dr. Smith met Mrs. Jones. They spoke.", ["Dr. Smith met Mrs. Jones.", "They spoke."]),
        ("J. R. Tolkien wrote it. Read it.", ["J. R. Tolkien wrote it.", "Read it."]),
        ("See Fig. 2 and Fig. S1. It helps.", ["See Fig. 2 and Fig. S1.", "It helps."]),
        ("The answer is no. We left.", ["The answer is no.", "We left."]),
        ("On Jan. 5 it rained. Then not.", ["On Jan. 5 it rained.", "Then not."]),
        ("He left at 5 p.m. It was late.", ["He left at 5 p.m.", "It was late."]),
        ("Use tools, e.g. Word. Or none.", ["Use tools, e.g. Word.", "Or none."]),
        ("“Really?” she asked. Yes.", ["“Really?” she asked.", "Yes."]),
        ("He said “no.” She left.", ["He said “no.”", "She left."]),
        ("Wait... what is it? Nothing.", ["Wait... what is it?", "Nothing."]),
        ("1. First item. 2. Second item.", ["1. First item.", "2. Second item."]),
        ("No end\n\nNew paragraph", ["No end", "New paragraph"]),
        ("wrapped\nline. Next\nline.", ["wrapped\nline.", "Next\nline."]),
        ("Version 2.0.1 is out", ["Version 2.0.1 is out"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_english_sentences_end_where_a_reader_pauses(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天下雨。明天晴！后天呢？", ["今天下雨。", "明天晴！", "后天呢？"]),
        ("他说：“好！”然后走了。", ["他说：“好！”", "然后走了。"]),
        ("「真的吗？」，他问。", ["「真的吗？」，他问。"]),
        ("第一条；第二条。", ["第一条；", "第二条。"]),
        ("价格是3.14元……没有人知道。", ["价格是3.14元……", "没有人知道。"]),
        ("怎么会？！不可能。", ["怎么会？！", "不可能。"]),
        ("使用Python 3.11。很好。", ["使用Python 3.11。", "很好。"]),
        ("English first. 然后中文。", ["English first.", "然后中文。"]),
        ("（完）。下一句", ["（完）。", "下一句"]),
    ],
)
def test_chinese_sentences_end_at_their_own_marks_and_closing_quotes(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_only_the_range_asked_for_is_looked_at() -> None:
    text = "A b. C d. E f."
    assert [text[a:b] for a, b in sentence_spans(text, 5, 9)] == ["C d."]


@given(st.text(alphabet="ab .!?。！？；…”)\n1A。「」,，", max_size=200))
def test_every_character_but_white_space_is_in_exactly_one_sentence(text: str) -> None:
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(not text[a].isspace() and not text[b - 1].isspace() for a, b in spans)


def test_lines_are_taken_without_their_indent() -> None:
    text = "x = 1\n\n  y = 2\n"
    assert [text[a:b] for a, b in line_spans(text, 0, len(text))] == ["x = 1", "y = 2"]
