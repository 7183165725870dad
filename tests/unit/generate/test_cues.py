from __future__ import annotations

import pytest

from workers.generate.cues import Wanted, bears_mark, wanted


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many hives are there?", Wanted.NUMBER),
        ("What percentage survives?", Wanted.NUMBER),
        ("When was it founded?", Wanted.DATE),
        ("In which year did it end?", Wanted.DATE),
        ("Why do they swarm?", Wanted.REASON),
        ("Where is the apiary?", Wanted.PLACE),
        ("Who keeps the bees?", Wanted.PERSON),
        ("What do bees eat?", Wanted.OTHER),
        ("一共有多少箱？", Wanted.NUMBER),
        ("合作社是哪年成立的？", Wanted.DATE),
        ("为什么要喷烟？", Wanted.REASON),
        ("蜂场在哪里？", Wanted.PLACE),
        ("谁负责称重？", Wanted.PERSON),
        ("蜂蜜是什么？", Wanted.OTHER),
    ],
)
def test_the_kind_of_answer_is_read_from_the_question(question, kind):
    assert wanted(question) is kind


@pytest.mark.parametrize(
    ("sentence", "kind", "expected"),
    [
        ("There are 28 of them.", Wanted.NUMBER, True),
        ("There are twelve of them.", Wanted.NUMBER, True),
        ("There are some of them.", Wanted.NUMBER, False),
        ("It closed on 3 March 1999.", Wanted.DATE, True),
        ("2024年成立。", Wanted.DATE, True),
        ("They left because of the smoke.", Wanted.REASON, True),
        ("由于天气寒冷。", Wanted.REASON, True),
        ("They met in Ludlow.", Wanted.PLACE, True),
        ("会议由 Owen Pritchard 主持。", Wanted.PERSON, True),
        ("Anything at all, 1999.", Wanted.OTHER, False),
    ],
)
def test_a_sentence_bears_the_mark_of_its_kind(sentence, kind, expected):
    assert bears_mark(sentence, kind) is expected
