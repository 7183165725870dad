"""From lines on pages to headings and paragraphs, judged by size, distance, indent and wording."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from workers.ingest.parsers.base import ParsedDocument, TextBuilder
from workers.ingest.parsers.headings import worded_heading_level
from workers.ingest.parsers.lines import join_printed_lines

_DIGITS = re.compile(r"\d+")
_ENDS = re.compile(r"[.!?。！？；;:：…][\"'”’」』）)\]]*$")
_BULLET = re.compile(r"(?:[•●▪◦■□◆◇○‣⁃·–—*-]|\(?\d{1,2}[.)）]|\(?[a-z]\)|[（(][一二三四五六七八九十]+[）)])\s+\S")
# A heading is so much larger than the text, and headings are at most so much of a document.
_LARGER = 1.12
_MOST_HEADINGS = 0.35
_LONGEST_HEADING = 160
_HEADING_LEVELS = 4
# A distance between lines so much larger than usual separates paragraphs.
_WIDE_GAP = 1.3
# Running heads stand this close to the edge of the page, at the same height on so many of the pages, at least on two.
_EDGE = 0.09
_RUNNING_SHARE = 0.4
_RUNNING_PAGES = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A printed line; lengths in points, from the lower left corner. `size` is the height of its characters."""

    text: str
    left: float
    right: float
    bottom: float
    size: float


@dataclass(frozen=True, slots=True)
class Page:
    height: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines that make one heading or paragraph."""

    lines: tuple[Line, ...]
    level: int


def lay_out(pages: Sequence[Page]) -> ParsedDocument:
    """Headings, list items and paragraphs, without running heads; a paragraph may go on over the end of a page."""
    pages = _without_running_heads(pages)
    metrics = _Metrics.of(pages)
    builder = TextBuilder()
    open_paragraph: Line | None = None
    for page in pages:
        builder.new_page()
        for number, group in enumerate(_groups(page, metrics)):
            text = join_printed_lines(line.text for line in group.lines)
            continued = number == 0 and open_paragraph is not None and _goes_on(open_paragraph, group)
            _add(builder, group, text, continued=continued)
            open_paragraph = None if group.level else group.lines[-1]
    return builder.build()


def _add(builder: TextBuilder, group: _Group, text: str, *, continued: bool) -> None:
    if group.level:
        builder.heading(text, group.level)
    elif continued:
        builder.continue_paragraph(text)
    elif level := worded_heading_level(text):
        builder.heading(text, level)
    elif _BULLET.match(text):
        builder.list_item(text)
    else:
        builder.paragraph(text)


def _goes_on(last: Line, group: _Group) -> bool:
    first = group.lines[0]
    unfinished = not _ENDS.search(last.text) and not worded_heading_level(first.text) and not _BULLET.match(first.text)
    return unfinished and not group.level and abs(first.size - last.size) < 0.5


def _without_running_heads(pages: Sequence[Page]) -> list[Page]:
    """Leave out heads, feet and page numbers: what stands at the edge of many pages, but for its numbers the same."""
    seen = Counter(key for page in pages for key in {_wording(line) for line in _edge_lines(page)})
    least = max(_RUNNING_PAGES, len(pages) * _RUNNING_SHARE)
    running = {key for key, times in seen.items() if times >= least}
    return [_without(page, running) for page in pages]


def _without(page: Page, running: set[tuple[str, int]]) -> Page:
    dropped = {id(line) for line in _edge_lines(page) if _wording(line) in running}
    return Page(height=page.height, lines=tuple(line for line in page.lines if id(line) not in dropped))


def _edge_lines(page: Page) -> list[Line]:
    low, high = page.height * _EDGE, page.height * (1 - _EDGE)
    return [line for line in page.lines if line.bottom < low or line.bottom > high]


def _wording(line: Line) -> tuple[str, int]:
    return _DIGITS.sub("#", line.text.strip()), round(line.bottom)


@dataclass(frozen=True, slots=True)
class _Metrics:
    """What is usual in a document: the size of its text, the distance of its lines, and the sizes of its headings."""

    gap: float
    body: float
    headings: tuple[float, ...]

    @classmethod
    def of(cls, pages: Iterable[Page]) -> _Metrics:
        lines = [line for page in pages for line in page.lines]
        characters = Counter[float]()
        for line in lines:
            characters[_rounded(line.size)] += len(line.text)
        body = characters.most_common(1)[0][0] if characters else 0.0
        larger = sorted((size for size in characters if size >= body * _LARGER), reverse=True)
        if sum(characters[size] for size in larger) > _MOST_HEADINGS * characters.total():
            larger = []
        gaps = [a.bottom - b.bottom for page in pages for a, b in pairwise(page.lines) if _follows(a, b, body)]
        return cls(gap=median(gaps) if gaps else body * 1.2, body=body, headings=tuple(larger))

    def level(self, line: Line) -> int:
        size = _rounded(line.size)
        if size not in self.headings or not any(c.isalpha() for c in line.text):
            return 0
        return min(self.headings.index(size) + 1, _HEADING_LEVELS)


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _follows(a: Line, b: Line, body: float) -> bool:
    return _rounded(a.size) == _rounded(b.size) == body and 0 < a.bottom - b.bottom < body * 3


def _groups(page: Page, metrics: _Metrics) -> Iterator[_Group]:
    rights = _column_rights(page)
    group: list[Line] = []
    level = 0
    for line in page.lines:
        if group and _starts_anew(group[-1], line, level, metrics, rights):
            yield from _finished(group, level)
            group = []
        level = metrics.level(line)
        group.append(line)
    if group:
        yield from _finished(group, level)


def _finished(group: list[Line], level: int) -> Iterator[_Group]:
    too_long = sum(len(line.text) for line in group) > _LONGEST_HEADING
    yield _Group(tuple(group), 0 if too_long else level)


def _starts_anew(last: Line, line: Line, level: int, metrics: _Metrics, rights: dict[int, float]) -> bool:
    """Whether a line begins a heading, item or paragraph rather than going on with the line before."""
    if metrics.level(line) != level:
        return True
    distance = last.bottom - line.bottom
    usual = metrics.gap * max(1.0, line.size / metrics.body if metrics.body else 1.0)
    if distance > usual * _WIDE_GAP:
        return True
    if level:
        return distance < 0
    if _BULLET.match(line.text) or worded_heading_level(line.text) or worded_heading_level(last.text):
        return True
    ended = _ENDS.search(last.text) is not None
    indented = 0.8 * line.size < line.left - last.left < 6 * line.size and distance > line.size / 2
    stops_early = last.right < rights.get(_column(last), 0.0) - 2 * line.size
    return indented or (ended and stops_early)


def _column(line: Line) -> int:
    return int(line.left // 72)


def _column_rights(page: Page) -> dict[int, float]:
    rights: dict[int, float] = {}
    for line in page.lines:
        rights[_column(line)] = max(line.right, rights.get(_column(line), 0.0))
    return rights
