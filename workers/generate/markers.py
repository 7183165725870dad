"""Citation markers in what a model says: kept where they name a passage, removed where they do not."""

from __future__ import annotations

import re

_WORDS = ("passages", "passage", "sources", "source", "documents", "document", "段落", "来源", "文档")
_WORD = rf"(?:{'|'.join(_WORDS)})"
_ONE = rf"(?:{_WORD}\s*)?[#^]?\d{{1,4}}"
_AND = r"(?:[,;，、；&]|and|和|与)"
_MARKER = re.compile(rf"[\[【［]\s*({_ONE}(?:\s*{_AND}\s*{_ONE})*)\s*[\]】］]", re.IGNORECASE)
_RANGE = re.compile(r"[\[【［]\s*(\d{1,4})\s*[-–]\s*(\d{1,4})\s*[\]】］]")
_NUMBER = re.compile(r"\d+")
_OPENING, _CLOSING = "[【［", "]】］"
_CODE = "`"
_FENCE = 3 * _CODE
LONGEST = 40
"""A bracket that is not closed within so many characters is no marker."""
LONGEST_CODE = 200
"""Code that is not closed within so many characters, or on its line, is none, unless it stands below a fence."""


def _half() -> re.Pattern[str]:
    """What a marker may be before it is whole: some of the numbers, and as much of the next thing as has come."""
    words = "|".join(word[:length] for word in _WORDS for length in range(len(word), 0, -1))
    next_one = rf"{_ONE}\s*(?:an?)?|(?:{_WORD}\s*)?[#^]?|(?:{words})"
    listed = rf"(?:{_ONE}\s*{_AND}\s*)*(?:{next_one})"
    return re.compile(rf"[\[【［]\s*(?:{listed}|\d{{1,4}}\s*[-–]\s*\d{{0,4}}\s*)", re.IGNORECASE)


_HALF = _half()


class MarkerFilter:
    """Passes on what a model says, with its markers as `[n]`, each of a passage that there is.

    Text is held back only from the spaces before a bracket to where it closes, and code within a line, which is none before
    it is closed. Markers of passages that there are not are removed with the spaces before them, and counted in `removed`.
    Code is left as it is.
    """

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._spaces = ""
        self._bracket = ""
        self._code = ""
        self._fenced = False
        self._opens_line = True
        self.removed = 0

    def feed(self, text: str) -> str:
        """What can be said now that `text` has come."""
        return "".join(map(self._take, text))

    def finish(self, *, cut: bool = False) -> str:
        """What was held back to the end; without the half of a marker, where the reply was `cut` inside of it."""
        unclosed = ""
        while self._code and not self._fenced:
            unclosed += self._no_code()
        if cut and _HALF.fullmatch(self._bracket):
            self._spaces = self._bracket = ""
        return unclosed + self._let_go()

    def _take(self, character: str) -> str:
        if self._code:
            return self._inside_code(character)
        if character == _CODE:
            self._code = character
            return self._let_go()
        self._opens_line = character == "\n" or (self._opens_line and character == " ")
        if self._bracket:
            return self._inside(character)
        if character == " ":
            self._spaces += character
            return ""
        if character in _OPENING:
            self._bracket = character
            return ""
        return self._let_go() + character

    def _inside_code(self, character: str) -> str:
        if self._fenced:
            return self._inside_fence(character)
        before, self._code = self._code, self._code + character
        if before.startswith(_FENCE):
            return self._opening_fence(character)
        if before == 2 * _CODE:
            return "" if character == _CODE and self._opens_line else self._no_code()
        if character == "\n" or len(self._code) > LONGEST_CODE:
            return self._no_code()
        return self._end_code() if character == _CODE and before != _CODE else ""

    def _opening_fence(self, character: str) -> str:
        """The line with the fence: one with more such signs, or that never ends, opens nothing."""
        if character == _CODE or len(self._code) > LONGEST_CODE:
            return self._no_code()
        self._fenced = character == "\n"
        return self._code if self._fenced else ""

    def _inside_fence(self, character: str) -> str:
        self._code = (self._code + character)[-len(_FENCE) :]
        if self._code == _FENCE:
            self._fenced = False
            self._end_code()
        return character

    def _end_code(self) -> str:
        code, self._code, self._opens_line = self._code, "", False
        return code

    def _no_code(self) -> str:
        """Its sign is text like any other, and what follows it is looked at anew; two signs are code without anything."""
        code = self._end_code()
        signs = 2 if code.startswith(2 * _CODE) else 1
        return code[:signs] + self.feed(code[signs:])

    def _inside(self, character: str) -> str:
        if character in _OPENING:
            before, self._bracket = self._let_go(), character
            return before
        self._bracket += character
        if character in _CLOSING:
            return self._closed()
        return self._let_go() if character == "\n" or len(self._bracket) > LONGEST else ""

    def _closed(self) -> str:
        numbers = self._range() or _listed(self._bracket)
        if not numbers:
            return self._let_go()
        known = [number for number in numbers if 1 <= number <= self._passages]
        self.removed += len(numbers) - len(known)
        self._bracket = "".join(f"[{number}]" for number in known)
        if not known:
            self._spaces = ""
        return self._let_go()

    def _range(self) -> list[int]:
        """`[1-3]`, where there are such passages: anything else between numbers may be years or a difference."""
        marker = _RANGE.fullmatch(self._bracket)
        first, last = (int(marker.group(1)), int(marker.group(2))) if marker else (0, 0)
        return list(range(first, last + 1)) if 1 <= first < last <= self._passages else []

    def _let_go(self) -> str:
        held = self._spaces + self._bracket
        self._spaces = self._bracket = ""
        return held


def _listed(bracket: str) -> list[int]:
    marker = _MARKER.fullmatch(bracket)
    return list(dict.fromkeys(map(int, _NUMBER.findall(marker.group(1))))) if marker else []
