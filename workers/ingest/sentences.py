"""Where sentences end, in Chinese and in languages that end them with a full stop and a space."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contracts.documents import Span

_CLOSERS = "\"'”’»)\\]」』）》〉】〕］｝}"
_END = re.compile(
    rf"""
      (?P<wide>[。！？；｡]+|…+) [。！？；｡…!?]* [{_CLOSERS}]*
    | (?P<narrow>[.!?]+) [{_CLOSERS}]* (?=\s|$)
    | (?P<mixed>[!?]+) [{_CLOSERS}]* (?=[\u2e80-\u9fff\uac00-\ud7af])
    | \n[^\S\n]*\n\s*
    """,
    re.VERBOSE,
)
_NEXT_WORD = re.compile(r"\s*[\"'“‘(\[«]*(\w{0,3})")
_NUMBER = re.compile(r"[A-Z]?\d")
_LAST_WORD = re.compile(r"[^\s(\[“\"'‘]+$")
# Initials of a name, as in J. R. Smith; what ends in other dotted letters, as in "at 5 p.m.", may end a sentence.
_INITIALS = re.compile(r"(?:[A-HJ-Z]\.)+")
_ENUMERATOR = re.compile(r"(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})")
# Abbreviations that something always follows, so that they never end a sentence.
_LEADING = re.compile(
    "mr|mrs|ms|dr|prof|st|jr|sr|gen|col|capt|lt|sgt|rev|hon|cf|vs|viz|al|e\\.g|i\\.e|eds?", re.IGNORECASE
)
# Abbreviations that belong to the number after them.
_NUMBERED = re.compile(
    "figs?|eqs?|nos?|vols?|pp?|secs?|chap|ch|tab|refs?|approx|ca|art|app|para|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec",
    re.IGNORECASE,
)


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Spans of the sentences in `text[start:end]`, in order, without the white space around them.

    Every character that is not white space lies in exactly one span.
    """
    end = len(text) if end is None else end
    spans = []
    begin = start
    for stop in _stops(text, start, end):
        spans.append((begin, stop))
        begin = stop
    spans.append((begin, end))
    return [span for span in (_trim(text, *span) for span in spans) if span[0] < span[1]]


def line_spans(text: str, start: int, end: int) -> list[Span]:
    """Spans of the lines in `text[start:end]` that are not blank, without the white space around them."""
    spans = ((m.start(), m.end()) for m in re.compile(r"[^\n]+").finditer(text, start, end))
    return [span for span in (_trim(text, *span) for span in spans) if span[0] < span[1]]


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    begin = start
    for match in _END.finditer(text, start, end):
        if _ends_sentence(text, match, begin, end):
            begin = match.end()
            yield begin


def _ends_sentence(text: str, match: re.Match[str], begin: int, end: int) -> bool:
    if match.group("wide"):
        return not _pauses(text, match, end)
    if match.group("narrow"):
        return _stops_narrowly(text, match, begin, end)
    return True


def _pauses(text: str, match: re.Match[str], end: int) -> bool:
    """An ellipsis in mid-sentence, or a quotation that the sentence goes on after: 「好！」，他说。"""
    following = text[match.end() : match.end() + 1] if match.end() < end else ""
    if following and following in "，,、：:":
        return True
    return match.group() == "…" and following != "" and not following.isspace()


def _stops_narrowly(text: str, match: re.Match[str], begin: int, end: int) -> bool:
    stop = match.group("narrow")
    following = _NEXT_WORD.match(text, match.end(), end)
    first = following.group(1) if following else ""
    if first[:1].islower():
        return stop.strip(".") != "" and match.group() == stop
    if stop != ".":
        return True
    word = _LAST_WORD.search(text, max(begin, match.start() - 24), match.start())
    if not first or word is None:
        return True
    alone = not text[begin : word.start()].strip()
    return not _abbreviates(word.group(), first, alone=alone)


def _abbreviates(word: str, following: str, *, alone: bool) -> bool:
    """Whether the full stop after `word` belongs to it. `alone`: nothing stands before the word in its sentence."""
    if _LEADING.fullmatch(word) or _INITIALS.fullmatch(word + "."):
        return True
    if _NUMBERED.fullmatch(word):
        return _NUMBER.match(following) is not None
    return alone and _ENUMERATOR.fullmatch(word) is not None


def _trim(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
