"""What markers point at, and what supports an answer without any."""

from __future__ import annotations

import pytest

from tests.unit.generate.making import passage
from workers.generate.chat.citing import citations, supports

HIVE = passage("Bees dance in the dark. The angle of the dance tells the direction of the flowers.", start=100)
STORES = passage("A colony stores twenty kilograms of honey for the winter.", document_id="stores")


def test_a_marker_quotes_the_sentence_that_says_it() -> None:
    (cited,) = citations("The direction is told by the angle of the dance [1].", [HIVE, STORES])
    assert cited.n == 1
    assert cited.quote == "The angle of the dance tells the direction of the flowers."
    assert HIVE.text[cited.start - HIVE.start : cited.end - HIVE.start] == cited.quote


def test_each_passage_is_cited_once_in_the_order_of_the_answer() -> None:
    found = citations("Twenty kilograms [2]. They dance [1][2].", [HIVE, STORES])
    assert [c.n for c in found] == [2, 1]
    assert found[0].document_id == "stores"


def test_a_passage_with_none_of_the_words_is_quoted_whole() -> None:
    (cited,) = citations("Quite right [1].", [HIVE])
    assert cited.quote == HIVE.text


@pytest.mark.parametrize(
    "text", ["Read `bees[0]`.", "Read `bees[1]` and `bees[99]`.", "An open ` and then [77].", "It is [7].", "[0]"]
)
def test_brackets_in_code_and_numbers_of_no_passage_cite_nothing(text: str) -> None:
    assert citations(text, [HIVE, STORES]) == ()


def test_a_marker_beside_code_cites() -> None:
    for code in ("`angle[0]`", "` angle"):
        (cited,) = citations(f"The {code} tells the direction [1].", [HIVE, STORES])
        assert (cited.n, cited.quote) == (1, "The angle of the dance tells the direction of the flowers.")


def test_chinese_statements_find_their_sentences() -> None:
    text = passage("蜜蜂在黑暗中跳舞。舞蹈的角度指示花的方向。")
    (cited,) = citations("花的方向由舞蹈的角度指示[1]。", [text])
    assert cited.quote == "舞蹈的角度指示花的方向。"


def test_an_answer_without_markers_is_supported_by_the_passages_that_say_it() -> None:
    assert supports(
        "The colony stores twenty kilograms of honey. The angle of the dance tells it.", [HIVE, STORES]
    ) == [
        2,
        1,
    ]


def test_nothing_supports_what_no_passage_says() -> None:
    assert supports("Elephants sleep standing in the savannah.", [HIVE, STORES]) == []
    assert supports("", [HIVE]) == []
    assert supports("Anything.", []) == []
