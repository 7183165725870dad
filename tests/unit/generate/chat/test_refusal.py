"""A model that says that there is no answer."""

from __future__ import annotations

import pytest

from workers.generate.chat.refusal import RefusalGate


def heard(*pieces: str) -> tuple[str, bool]:
    gate = RefusalGate()
    said = "".join(map(gate.feed, pieces))
    refuses = gate.refuses()
    return said + ("" if refuses else gate.finish()), refuses


@pytest.mark.parametrize(
    "text",
    [
        "NO_ANSWER",
        "no_answer.",
        " **NO_ANSWER**\n",
        "NO ANSWER",
        "`NO_ANSWER`",
        "NO_ANSWER: nothing is said of it.",
        "NO ANSWER. None.",
        "no_answer, sorry",
        "No answer.",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_refusal_is_heard_and_never_shown(text: str, step: int) -> None:
    assert heard(*(text[at : at + step] for at in range(0, len(text), step))) == ("", True)


@pytest.mark.parametrize(
    "text",
    [
        "No bees dance.",
        "No answer came until May.",
        "No answers",
        "NO_ANSWERS",
        "No answer, no bees.",
        "NO",
        "Not so.",
        "",
        " ",
        "The NO_ANSWER token.",
        "没有答案",
    ],
)
@pytest.mark.parametrize("step", [1, 100])
def test_anything_else_is_shown(text: str, step: int) -> None:
    assert heard(*(text[at : at + step] for at in range(0, len(text), step))) == (text, False)


def test_text_flows_as_soon_as_it_can_be_no_refusal() -> None:
    gate = RefusalGate()
    assert gate.feed("No") == ""
    assert gate.feed("w") == "Now"
    assert gate.feed(" NO_ANSWER") == " NO_ANSWER"
