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
_NEXT_WORD = re.compile(r"\s*[\"'“‘(\[«]*(\w)?")
_LAST_WORD = re.compile(r"[^\s(\[“\"'‘]+$")
_INITIAL = re.compile(r"(?:[^\W\d_]\.)+")
_ENUMERATOR = re.compile(r"(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})\.")
# Abbreviations that stand before what they belong to, so that they never end a sentence.
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "sr",
        "jr",
        "gen",
        "col",
        "capt",
        "lt",
        "sgt",
        "rev",
        "hon",
        "fig",
        "figs",
        "eq",
        "eqs",
        "no",
        "nos",
        "vol",
        "vols",
        "pp",
        "ed",
        "eds",
        "sec",
        "secs",
        "ch",
        "chap",
        "tab",
        "ref",
        "refs",
        "approx",
        "ca",
        "cf",
        "vs",
        "viz",
        "al",
        "e.g",
        "i.e",
    ]
)
# Abbreviations that may also stand last: they end a sentence only before a capital letter.
_ABBREVIATIONS = frozenset(
    [
        "etc",
        "inc",
        "ltd",
        "co",
        "corp",
        "bros",
        "dept",
        "univ",
        "est",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "a.m",
        "p.m",
        "u.s",
        "u.k",
        "u.n",
        "ph.d",
        "m.d",
        "b.sc",
        "m.sc",
        "min",
        "max",
        "avg",
        "temp",
        "sp",
        "spp",
        "var",
    ]
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
    for match in _END.finditer(text, start, end):
        if _ends_sentence(text, match, start, end):
            yield match.end()


def _ends_sentence(text: str, match: re.Match[str], start: int, end: int) -> bool:
    if match.group("wide"):
        return not _pauses(text, match, end)
    if match.group("narrow"):
        return _stops_narrowly(text, match, start, end)
    return True


def _pauses(text: str, match: re.Match[str], end: int) -> bool:
    """An ellipsis in mid-sentence, or a quotation that the sentence goes on after: 「好！」，他说。"""
    following = text[match.end() : match.end() + 1] if match.end() < end else ""
    if following and following in "，,、：:":
        return True
    return match.group().startswith("…") and not following.isspace() and match.end() < end and len(match.group()) < 2


def _stops_narrowly(text: str, match: re.Match[str], start: int, end: int) -> bool:
    stop = match.group("narrow")
    after = _NEXT_WORD.match(text, match.end(), end)
    first = after.group(1) if after else None
    if first is not None and first.islower():
        return "!" in stop or "?" in stop
    if stop != ".":
        return True
    word = _LAST_WORD.search(text, max(start, match.start() - 24), match.start())
    return first is None or word is None or not _abbreviates(word.group(), first, at_start=word.start() == start)


def _abbreviates(word: str, following: str, *, at_start: bool) -> bool:
    bare = word.lower().rstrip(".")
    if bare in _TITLES:
        return True
    if bare in _ABBREVIATIONS:
        return following.isdigit()
    if at_start and _ENUMERATOR.fullmatch(word + "."):
        return True
    return _INITIAL.fullmatch(word + ".") is not None and word != "I"


def _trim(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
