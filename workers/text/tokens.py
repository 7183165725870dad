"""Counts tokens about as language models do, without one."""

from __future__ import annotations

import re

from workers.text.scripts import HAN_RANGES

_TOKEN = re.compile(
    f"[{HAN_RANGES}\u3040-\u30ff\uac00-\ud7af]|[^\\W_{HAN_RANGES}\u3040-\u30ff\uac00-\ud7af]{{1,5}}|[^\\w\\s]|_"
)


def count_tokens(text: str) -> int:
    """An ideograph, a sign, or up to five letters or digits of a word are a token."""
    return sum(1 for _ in _TOKEN.finditer(text))


def cut_at_tokens(text: str, most: int) -> str:
    """The longest beginning of `text` that has at most `most` tokens."""
    for number, token in enumerate(_TOKEN.finditer(text)):
        if number == most:
            return text[: token.start()].rstrip()
    return text
