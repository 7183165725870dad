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

    An answer that is begun anew (a higher attempt) is sent from where it goes beyond what was sent, as long as it says the same. After
    a piece that did not come nothing more of its attempt is sent; its end brings the rest.
    """

    def __init__(self) -> None:
        self.sent = ""
        self._attempt = 0
        self._pieces = 0
        self._text = ""

    def piece(self, attempt: int, number: int, text: str) -> str:
        """What of a piece is to be sent; they are counted from 1 in each attempt. Raises `DivergedError`."""
        if attempt > self._attempt:
            self._attempt, self._pieces, self._text = attempt, 0, ""
        if attempt < self._attempt or number != self._pieces + 1:
            return ""
        self._pieces, self._text = number, self._text + text
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
        sent = _words(self.sent)
        if not _words(answer).startswith(sent):
            raise DivergedError
        return self._send(answer[_end_of(answer, len(sent), tail=_tail(self.sent)) :])

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


def _tail(text: str) -> list[str]:
    """The marks and spaces at its end."""
    last, found = 0, list[str]()
    for token in _MARKS.finditer(text):
        found = [*found, token[0]] if token.start() == last else [token[0]]
        last = token.end()
    return found if last == len(text) else []


def _end_of(text: str, words: int, *, tail: list[str]) -> int:
    """Up to where the text has so many characters without marks and spaces, and those of the tail that follow."""
    at = _after(text, words)
    for token in _MARKS.finditer(text, at):
        if token.start() != at or token[0] not in tail:
            break
        tail = tail[tail.index(token[0]) + 1 :]
        at = token.end()
    return at


def _after(text: str, words: int) -> int:
    at = 0
    for token in _MARKS.finditer(text):
        between = token.start() - at
        if between >= words:
            break
        words -= between
        at = token.end()
    return at + words
