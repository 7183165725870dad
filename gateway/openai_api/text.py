"""The text of an answer for who sees nothing but text: what may still be sent of it, and its sources."""

from __future__ import annotations

import re
from collections.abc import Iterable

from contracts.answers import Citation

_MARKS = re.compile(r"\[\d+\]|\s+")


class DivergedError(Exception):
    """What was sent is not the beginning of what the answer is now, and cannot be taken back."""


class Sending:
    """Text that is sent piece by piece, of which nothing can be taken back.

    An answer that is begun anew (a higher attempt) is sent from where it goes beyond what was sent, as long as it says the same.
    """

    def __init__(self) -> None:
        self.sent = ""
        self._attempt = 0
        self._text = ""

    def piece(self, attempt: int, text: str) -> str:
        """What of a piece is to be sent. Raises `DivergedError`."""
        if attempt < self._attempt:
            return ""
        if attempt > self._attempt:
            self._attempt, self._text = attempt, ""
        self._text += text
        if len(self._text) <= len(self.sent):
            if not self.sent.startswith(self._text):
                raise DivergedError
            return ""
        if not self._text.startswith(self.sent):
            raise DivergedError
        return self._send(self._text[len(self.sent) :])

    def rest(self, answer: str) -> str:
        """What is still to be sent of the whole answer, which may lack marks that pointed at nothing. Raises `DivergedError`."""
        if answer.startswith(self.sent):
            return self._send(answer[len(self.sent) :])
        if not _words(answer).startswith(_words(self.sent)):
            raise DivergedError
        return self._send(answer[_end_of(answer, len(_words(self.sent))) :])

    def _send(self, text: str) -> str:
        self.sent += text
        return text


def sources_of(citations: Iterable[Citation]) -> str:
    """The documents behind the marks, one to a line; nothing where there are none."""
    lines = {citation.n: f"[{citation.n}] {_place(citation)}" for citation in citations}
    return "\n\nSources:\n" + "\n".join(lines[n] for n in sorted(lines)) if lines else ""


def _place(citation: Citation) -> str:
    page = "" if citation.page is None else f", page {citation.page}"
    return f"{citation.name}{page}"


def _words(text: str) -> str:
    return _MARKS.sub("", text)


def _end_of(text: str, words: int) -> int:
    """Up to where the text has so many characters, without marks and spaces."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        if len(_words(text[:middle])) < words:
            low = middle + 1
        else:
            high = middle
    return low
