"""What is known of a printed page: its lines and where they stand. Lengths in points, from the lower left corner."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"[-–—\s]*(?:\d{1,5}|[ivxlc]{1,7})[-–—\s]*", re.IGNORECASE)
# Running heads stand this close to the edge of the page, at the same height on so many pages; on two where they are
# numbered, or where there are not many.
_EDGE = 0.09
_RUNNING_PAGES = 3
_SHORT_DOCUMENT_PAGES = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a line that wide gaps part, as in a row of a table."""

    left: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A printed line. `size` is that of its font, `cells` is one where no wide gap parts it.

    A word broken by a hyphen may have joined it with the next line: `baseline` is that of its beginning, `last_baseline`
    that of its end.
    """

    text: str
    left: float
    right: float
    baseline: float
    last_baseline: float
    size: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    height: float
    lines: tuple[Line, ...]


def with_whole_rows(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines that go on at the same height behind a gap, as rows with an empty cell do, are made one."""
    whole: Line | None = None
    for line in lines:
        if whole is not None and abs(whole.last_baseline - line.baseline) < 1 and line.left > whole.right:
            whole = replace(
                line,
                text=f"{whole.text} {line.text}",
                left=whole.left,
                baseline=whole.baseline,
                cells=(*whole.cells, *line.cells),
            )
            continue
        if whole is not None:
            yield whole
        whole = line
    if whole is not None:
        yield whole


def without_running_heads(pages: Sequence[Page]) -> list[Page]:
    """Leave out heads, feet and page numbers: what stands at the edge of many pages, but for its numbers the same."""
    seen = Counter(key for page in pages for key in {_wording(line) for line in _edge_lines(page)})
    short = len(pages) <= _SHORT_DOCUMENT_PAGES
    running = {key for key, times in seen.items() if times >= (2 if short or "#" in key[0] else _RUNNING_PAGES)}
    return [_without(page, running) for page in pages]


def _without(page: Page, running: set[tuple[str, int]]) -> Page:
    edge = _edge_lines(page)
    dropped = {id(line) for line in edge if _wording(line) in running or _PAGE_NUMBER.fullmatch(line.text)}
    return Page(height=page.height, lines=tuple(line for line in page.lines if id(line) not in dropped))


def _edge_lines(page: Page) -> list[Line]:
    low, high = page.height * _EDGE, page.height * (1 - _EDGE)
    return [line for line in page.lines if line.baseline < low or line.baseline > high]


def _wording(line: Line) -> tuple[str, int]:
    return _DIGITS.sub("#", line.text.strip()), round(line.baseline)
