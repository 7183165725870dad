"""Characters that no reader sees. They carry text past readers to a model, or cut words that would be recognised."""

from __future__ import annotations

import re
from itertools import pairwise

from workers.text.scripts import HAN_RANGES

_NEVER_SEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff0-\ufffb\U000e0000-\U000e007f\U0001d173-\U0001d17a]"
)
"""Soft hyphens, fillers, zero-width spaces, bidirectional controls, invisible operators, tags."""
_JOINERS = "\u200c\u200d"
_NOT_JOINED = re.compile(f"[\u0000-\u058f\u2e80-\u9fff\uac00-\ud7af{HAN_RANGES}{_JOINERS}]")
"""Joiners say something in Arabic and Indic scripts and between emoji, and nothing after these."""
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_NOT_VARIED = re.compile("[A-Za-z\\s\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def is_seen(character: str, *, before: str) -> bool:
    """Whether a reader can see that `character` stands after `before` (of one character, or none)."""
    if character.isascii():
        return True
    if character in _JOINERS:
        return bool(before) and not _NOT_JOINED.match(before) and not _NEVER_SEEN.match(before)
    if _SELECTORS.match(character):
        return bool(before) and not _NOT_VARIED.match(before)
    return not _NEVER_SEEN.match(character)


def without_invisible(text: str) -> str:
    """What of `text` a reader sees."""
    if text.isascii():
        return text
    return text[:1] * is_seen(text[0], before="") + "".join(
        character for before, character in pairwise(text) if is_seen(character, before=before)
    )


class SeenFilter:
    """Passes on what of a text that comes in pieces a reader sees; `removed` counts the rest."""

    def __init__(self) -> None:
        self._before = ""
        self.removed = 0

    def feed(self, text: str) -> str:
        """What of `text` is seen after what came before."""
        if not text:
            return ""
        before, self._before = self._before, text[-1]
        seen = without_invisible(before + text)[len(without_invisible(before)) :]
        self.removed += len(text) - len(seen)
        return seen
