"""Plain text: kept as it is, with paragraphs found at blank lines or at lines that end early."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contracts.documents import Span
from workers.ingest.parsers.base import Block, BlockKind, ParsedDocument, normalise
from workers.ingest.parsers.headings import worded_heading_level

_WRAPPED_AT_MOST = 120
_FULL_LINE = 0.7


def parse_text(text: str) -> ParsedDocument:
    """The text, normalised but otherwise unchanged, with its paragraphs and recognisable headings as blocks."""
    text = normalise(text).strip("\n")
    blocks = tuple(_block(text, start, end) for start, end in _paragraphs(text))
    return ParsedDocument(text, blocks)


def _paragraphs(text: str) -> Iterator[Span]:
    """Spans of lines that belong together. Hard-wrapped lines are joined; a line that stops early ends a paragraph."""
    lines = list(_lines(text))
    full = _full_width(text, lines)
    open_at: int | None = None
    last_end = 0
    for start, end in lines:
        blank = start == end
        if open_at is not None and (blank or not _continues(text, last_end, full, open_at)):
            yield open_at, last_end
            open_at = None
        if not blank:
            open_at = start if open_at is None else open_at
            last_end = end
    if open_at is not None:
        yield open_at, last_end


def _lines(text: str) -> Iterator[Span]:
    for match in re.finditer(r"[^\n]*(?:\n|\Z)", text):
        line = match.group().rstrip()
        indent = len(line) - len(line.lstrip())
        if line:
            yield match.start() + indent, match.start() + len(line)
        elif match.group():
            yield match.start(), match.start()


def _full_width(text: str, lines: list[Span]) -> float | None:
    """The width from which a line counts as wrapped, not ended; None where lines are not wrapped at all."""
    widths = sorted(_width(text[start:end]) for start, end in lines if end > start)
    widest = widths[int(len(widths) * 0.95)] if widths else 0
    return None if widest > _WRAPPED_AT_MOST else widest * _FULL_LINE


def _continues(text: str, line_end: int, full: float | None, open_at: int) -> bool:
    if full is None:
        return False
    line_start = max(text.rfind("\n", 0, line_end) + 1, open_at)
    return _width(text[line_start:line_end]) >= full


def _width(line: str) -> int:
    """Columns: characters of East Asian scripts take two."""
    return len(line) + sum(1 for c in line if "\u2e80" <= c <= "\uffdc")


def _block(text: str, start: int, end: int) -> Block:
    level = worded_heading_level(text[start:end])
    return Block(BlockKind.HEADING, start, end, level) if level else Block(BlockKind.PARAGRAPH, start, end)
