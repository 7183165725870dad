"""Hears a model repeat what it was told, before readers get it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from workers.text.scripts import HAN_RANGES

RUN = 16
"""Eight words in a row are no coincidence. A word counts two, an ideograph, of which words have about two, one."""
HELD = RUN // 2
"""From so many on they are held back."""
LONGEST = 1000
"""More characters are not held: between words there may be anything."""
_WORDS = re.compile(f"[{HAN_RANGES}]|[^\\W_{HAN_RANGES}]+")
_HAN = re.compile(f"[{HAN_RANGES}]")


class ToldFilter:
    """Ends a text where it repeats the instructions: `RUN` in a row as they stand there, whatever signs are between them.

    What also stands in `public` is no secret. Of a repetition its beginning, up to `HELD`, has been shown when it is noticed;
    the rest never is, and nothing after it.
    """

    def __init__(self, instructions: str, *, public: Callable[[], str]) -> None:
        self._instructions = _spelled(instructions)
        self._public = public
        self._row: list[str] = []
        self._word = ""
        self._held = ""
        self.ended = False

    def feed(self, text: str) -> str:
        """What can be shown now that `text` has come; nothing once it has `ended`."""
        return "".join(map(self._take, text))

    def finish(self) -> str:
        """What was held back to the end, if it was no repetition."""
        self._end_word()
        return self._let_go()

    def _take(self, character: str) -> str:
        ideograph = _HAN.match(character)
        if ideograph or not character.isalnum():
            self._end_word()
        self._held += character
        if character.isalnum():
            self._word += character
        if ideograph:
            self._end_word()
        return "" if self._suspected and len(self._held) <= LONGEST else self._let_go()

    @property
    def _suspected(self) -> bool:
        return _size(self._row) >= HELD

    def _end_word(self) -> None:
        """The last words that stand in a row in the instructions, too, are the ones that count."""
        if not self._word:
            return
        self._row.append(self._word.casefold())
        self._word = ""
        while self._row and (_size(self._row) > RUN or not _holds(self._instructions, self._row)):
            del self._row[0]
        if _size(self._row) >= RUN and not _holds(_spelled(self._public()), self._row):
            self.ended = True

    def _let_go(self) -> str:
        held, self._held = self._held, ""
        return "" if self.ended else held


def repeats(text: str, instructions: str, *, public: str) -> bool:
    """Whether a text that is whole repeats the instructions."""
    told = ToldFilter(instructions, public=lambda: public)
    told.feed(text)
    told.finish()
    return told.ended


def _spelled(text: str) -> str:
    return f" {' '.join(_WORDS.findall(text.casefold()))} "


def _holds(spelled: str, words: Sequence[str]) -> bool:
    return f" {' '.join(words)} " in spelled


def _size(words: Sequence[str]) -> int:
    return sum(1 if _HAN.match(word) else 2 for word in words)
