"""The few sentences that the extractive generator says itself, in the language of the question."""

from __future__ import annotations

from workers.text.scripts import Script

_NO_ANSWER = {
    Script.ALPHABETIC: "The documents hold no answer to this question.",
    Script.HAN: "文档中没有这个问题的答案。",
}


def no_answer(script: Script) -> str:
    """Says plainly that the documents do not answer."""
    return _NO_ANSWER[script]
