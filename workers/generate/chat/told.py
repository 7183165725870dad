"""Hears a model repeat what it was told, before readers get it."""

from __future__ import annotations

import re
from collections.abc import Callable

from workers.text.scripts import HAN_RANGES

RUN = 40
"""So many letters in a row, eight words or so, are no coincidence. An ideograph counts `IDEOGRAPH`."""
IDEOGRAPH = 3
SENTENCE = 24
"""A whole sentence of the instructions counts from so many letters on."""
HELD = RUN // 2
"""From so many on they are held back."""
LONGEST = 1000
"""More characters are not held: between letters there may be anything."""
_SENTENCE_END = re.compile(r"[\n.!?;。！？；]+")
_HAN = re.compile(f"[{HAN_RANGES}]")


class ToldFilter:
    """Ends a text where it repeats the instructions: `RUN` letters as they stand there, or one of their sentences.

    Signs between letters count for nothing.

    What also stands in `public` is no secret. Of a repetition its beginning, up to `HELD`, has been shown when it is noticed;
    the rest never is, and nothing after it.
    """

    def __init__(self, instructions: str, *, public: Callable[[], str]) -> None:
        self._instructions = _letters(instructions)
        sentences = map(_letters, _SENTENCE_END.split(instructions))
        self._sentences = tuple(sentence for sentence in sentences if _size(sentence) >= SENTENCE)
        self._public = public
        self._row = ""
        self._held = ""
        self.ended = False

    def feed(self, text: str) -> str:
        """What can be shown now that `text` has come; nothing once it has `ended`."""
        return "".join(map(self._take, text))

    def finish(self) -> str:
        """What was held back to the end: it was no repetition."""
        held, self._held = self._held, ""
        return "" if self.ended else held

    def _take(self, character: str) -> str:
        self._held += character
        for letter in _letters(character):
            self._hear(letter)
        return "" if _size(self._row) > HELD and len(self._held) <= LONGEST else self.finish()

    def _hear(self, letter: str) -> None:
        """The last letters that stand in a row in the instructions, too, are the ones that count."""
        self._row += letter
        while self._row and self._row not in self._instructions:
            self._row = self._row[1:]
        while _size(self._row[1:]) >= RUN:
            self._row = self._row[1:]
        told = _size(self._row) >= RUN or self._row.endswith(self._sentences)
        if told and self._row not in _letters(self._public()):
            self.ended = True


def repeats(text: str, instructions: str, *, public: str) -> bool:
    """Whether a text that is whole repeats the instructions."""
    told = ToldFilter(instructions, public=lambda: public)
    told.feed(text)
    return told.ended


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _size(letters: str) -> int:
    return len(letters) + (IDEOGRAPH - 1) * len(_HAN.findall(letters))
