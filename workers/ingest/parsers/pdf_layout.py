"""From lines on pages to headings, paragraphs and tables, judged by size, distance, indent and wording."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from workers.ingest.parsers.base import ParsedDocument, TextBuilder
from workers.ingest.parsers.headings import is_contents_entry, worded_heading_level
from workers.ingest.parsers.lines import join_printed_lines
from workers.ingest.parsers.pdf_page import Cell, Line, Page, without_running_heads
from workers.ingest.parsers.tables import add_table

_ENDS = re.compile(r"[.!?。！？；;:：…][\"'”’」』）)\]]*$")
_BULLET = re.compile(r"(?:[•●▪◦■□◆◇○‣⁃·–—*-]|\(?\d{1,2}[.)）]|\(?[a-z]\)|[（(][一二三四五六七八九十]+[）)])\s+\S")
# A heading is so much larger than the text, and headings are at most so much of a document.
_LARGER = 1.12
_MOST_HEADINGS = 0.35
_LONGEST_HEADING = 160
_HEADING_LEVELS = 4
# A distance between lines so much larger than usual separates paragraphs.
_WIDE_GAP = 1.3
_USUAL_GAP = 1.4


def lay_out(pages: Sequence[Page]) -> ParsedDocument:
    """Headings, list items, paragraphs and table rows, without running heads.

    A paragraph may go on over the end of a page.
    """
    pages = without_running_heads(pages)
    metrics = _Metrics.of(pages)
    builder = TextBuilder()
    unfinished: Line | None = None
    for page in pages:
        builder.new_page()
        for number, group in enumerate(_groups(page, metrics)):
            group.add(builder, continues=unfinished if number == 0 else None)
            unfinished = group.unfinished
    return builder.build()


@dataclass(frozen=True, slots=True)
class _Metrics:
    """What is usual in a document: the size of its text, the distance of its lines, and the sizes of its headings."""

    gap: float
    body: float
    headings: tuple[float, ...]

    @classmethod
    def of(cls, pages: Iterable[Page]) -> _Metrics:
        pages = list(pages)
        characters = Counter[float]()
        for line in (line for page in pages for line in page.lines):
            characters[_rounded(line.size)] += len(line.text)
        body = characters.most_common(1)[0][0] if characters else 0.0
        larger = sorted((size for size in characters if size >= body * _LARGER), reverse=True)
        if sum(characters[size] for size in larger) > _MOST_HEADINGS * characters.total():
            larger = []
        gaps = [_distance(a, b) for page in pages for a, b in pairwise(page.lines) if _follows(a, b, body)]
        return cls(gap=median(gaps) if gaps else body * _USUAL_GAP, body=body, headings=tuple(larger))

    def level(self, line: Line) -> int:
        size = _rounded(line.size)
        if size not in self.headings or is_contents_entry(line.text) or not any(c.isalpha() for c in line.text):
            return 0
        return min(self.headings.index(size) + 1, _HEADING_LEVELS)

    def usual_distance(self, line: Line) -> float:
        return self.gap * max(1.0, line.size / self.body if self.body else 1.0)


class _Heading:
    unfinished: Line | None = None

    def __init__(self, text: str, level: int) -> None:
        self._text = text
        self._level = level

    def add(self, builder: TextBuilder, *, continues: Line | None) -> None:
        builder.heading(self._text, self._level)


class _Table:
    unfinished: Line | None = None

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def add(self, builder: TextBuilder, *, continues: Line | None) -> None:
        """The row with the most cells, the first of these, shows where the columns are."""
        columns = [cell.left for cell in max((line.cells for line in self._lines), key=len)]
        add_table(builder, [_placed(line.cells, columns) for line in self._lines])


def _placed(cells: Sequence[Cell], columns: Sequence[float]) -> list[str]:
    """The cells of a row under their columns: in order where none is missing, else each under the nearest."""
    if len(cells) == len(columns):
        return [cell.text for cell in cells]
    row = [""] * len(columns)
    for cell in cells:
        nearest = min(range(len(columns)), key=lambda column: abs(columns[column] - cell.left))
        row[nearest] = f"{row[nearest]} {cell.text}".strip()
    return row


class _Paragraph:
    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    @property
    def unfinished(self) -> Line | None:
        """The last line, if what it says goes on somewhere."""
        last = self._lines[-1]
        return None if _ENDS.search(last.text) or is_contents_entry(last.text) else last

    def add(self, builder: TextBuilder, *, continues: Line | None) -> None:
        text = join_printed_lines(line.text for line in self._lines)
        level = worded_heading_level(text)
        if level:
            builder.heading(text, level)
        elif _BULLET.match(text) or is_contents_entry(text):
            builder.list_item(text)
        elif continues is not None and abs(continues.size - self._lines[0].size) < 0.5:
            builder.continue_paragraph(text)
        else:
            builder.paragraph(text)


def _groups(page: Page, metrics: _Metrics) -> Iterator[_Heading | _Table | _Paragraph]:
    for is_row, marked in groupby(_marked(page.lines), key=lambda pair: pair[0]):
        lines = [line for _, line in marked]
        if is_row:
            yield _Table(lines)
        else:
            yield from _prose(lines, metrics)


def _marked(lines: Sequence[Line]) -> Iterator[tuple[bool, Line]]:
    """Each line with whether it is a row of a table: parted by wide gaps, next to another such line."""
    parted = [len(line.cells) > 1 and not is_contents_entry(line.text) for line in lines]
    beside = [False, *parted, False]
    for number, line in enumerate(lines):
        yield parted[number] and (beside[number] or beside[number + 2]), line


def _prose(lines: Sequence[Line], metrics: _Metrics) -> Iterator[_Heading | _Paragraph]:
    rights = _column_rights(lines)
    group: list[Line] = []
    for line in lines:
        if group and _starts_anew(group, line, metrics, rights):
            yield _finished(group, metrics)
            group = []
        group.append(line)
    if group:
        yield _finished(group, metrics)


def _finished(group: Sequence[Line], metrics: _Metrics) -> _Heading | _Paragraph:
    level = metrics.level(group[0])
    text = join_printed_lines(line.text for line in group)
    return _Heading(text, level) if level and len(text) <= _LONGEST_HEADING else _Paragraph(group)


def _starts_anew(group: Sequence[Line], line: Line, metrics: _Metrics, rights: dict[int, float]) -> bool:
    """Whether a line begins a heading, item or paragraph rather than going on with the lines before."""
    last = group[-1]
    level = metrics.level(line)
    distance = _distance(last, line)
    if level != metrics.level(last) or distance > metrics.usual_distance(line) * _WIDE_GAP:
        return True
    if level:
        return distance < 0
    if _stands_alone(last, rights) or _stands_alone(line, rights) or _BULLET.match(line.text):
        return True
    if _BULLET.match(group[0].text):
        return _leaves_item(group, line, rights)
    return _is_moved_in(last, line) or (_ends_early(last, rights) and _ENDS.search(last.text) is not None)


def _stands_alone(line: Line, rights: dict[int, float]) -> bool:
    """A heading by its wording (a line that fills its column is not one), or an entry of a table of contents."""
    return is_contents_entry(line.text) or (worded_heading_level(line.text) > 0 and _ends_early(line, rights))


def _leaves_item(group: Sequence[Line], line: Line, rights: dict[int, float]) -> bool:
    """Whether a line after those of a list item is not moved in like them; nothing is said by it after a full line."""
    last = group[-1]
    hanging = group[1].left if len(group) > 1 else group[0].left + 0.5 * line.size
    return line.left < hanging - 0.3 * line.size and _distance(last, line) > 0 and _ends_early(last, rights)


def _ends_early(line: Line, rights: dict[int, float]) -> bool:
    return line.right < rights.get(_column(line), 0.0) - 2 * line.size


def _is_moved_in(last: Line, line: Line) -> bool:
    return 0.8 * line.size < line.left - last.left < 6 * line.size and _distance(last, line) > line.size / 2


def _distance(upper: Line, lower: Line) -> float:
    return upper.last_baseline - lower.baseline


def _follows(upper: Line, lower: Line, body: float) -> bool:
    return _rounded(upper.size) == _rounded(lower.size) == body and 0 < _distance(upper, lower) < body * 3


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _column(line: Line) -> int:
    return int(line.left // 72)


def _column_rights(lines: Sequence[Line]) -> dict[int, float]:
    rights: dict[int, float] = {}
    for line in lines:
        rights[_column(line)] = max(line.right, rights.get(_column(line), 0.0))
    return rights
