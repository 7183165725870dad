from __future__ import annotations

import pytest

from workers.text.scripts import Script, dominant_script, script_shares, served_share

LATIN = frozenset({"latin"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is this?", Script.ALPHABETIC),
        ("这是什么？", Script.HAN),
        ("BERT模型的参数量是多少？", Script.HAN),
        ("Who is 王小明 of the accounting department?", Script.ALPHABETIC),
        ("Где это?", Script.ALPHABETIC),
        ("42?", Script.ALPHABETIC),
    ],
)
def test_a_text_is_treated_as_most_of_it_is_written(text, expected):
    assert dominant_script(text) is expected


@pytest.mark.parametrize(
    ("text", "scripts", "expected"),
    [
        ("Where?", LATIN, 1.0),
        ("在哪里？", LATIN, 0.0),
        ("在哪里？", frozenset({"all"}), 1.0),
        ("abc 中", LATIN, 0.5),
        ("42", LATIN, 1.0),
        ("Where?", frozenset(), 0.0),
    ],
)
def test_an_encoder_serves_the_share_in_its_scripts(text, scripts, expected):
    assert served_share(text, scripts) == pytest.approx(expected)


def test_shares_sum_to_one_and_nothing_has_none():
    assert sum(script_shares("mixed 混合 смесь").values()) == pytest.approx(1)
    assert script_shares("12 + 3") == {}
