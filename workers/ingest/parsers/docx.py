"""Word documents: paragraphs, headings, lists and tables in reading order."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import docx
from docx.enum.style import WD_STYLE_TYPE

from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.tables import add_table

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element as Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_TEXT, _TAB, _BREAK, _RETURN = f"{_W}t", f"{_W}tab", f"{_W}br", f"{_W}cr"
_PARAGRAPH, _TABLE = f"{_W}p", f"{_W}tbl"
# Deleted text, fields' codes, and text boxes, whose text stands in the file twice.
_LEFT_OUT = frozenset({f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", f"{_W}pPr", f"{_W}rPr"})
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_HEADING_STYLE = re.compile(r"heading (\d)", re.IGNORECASE)
_MAX_DEPTH = 50


def parse_docx(source: Source) -> ParsedDocument:
    document = docx.Document(io.BytesIO(source.content))
    reader = _Reader(TextBuilder(), _style_names(document))
    reader.read(document.element.body)
    return reader.builder.build()


def _style_names(document: Document) -> dict[str, str]:
    styles = (style for style in document.styles if style.type == WD_STYLE_TYPE.PARAGRAPH)
    return {style.style_id: (style.name or "").lower() for style in styles}


class _Reader:
    def __init__(self, builder: TextBuilder, styles: Mapping[str, str]) -> None:
        self.builder = builder
        self._styles = styles

    def read(self, parent: Element, *, depth: int = 0) -> None:
        """Content controls and other wrappers are looked through."""
        for element in parent:
            if element.tag == _PARAGRAPH:
                self._paragraph(element)
            elif element.tag == _TABLE:
                add_table(self.builder, _rows(element))
            elif element.tag not in _LEFT_OUT and depth < _MAX_DEPTH:
                self.read(element, depth=depth + 1)

    def _paragraph(self, paragraph: Element) -> None:
        text = _text(paragraph)
        style = self._styles.get(_value(paragraph, "pPr/pStyle") or "", "")
        if level := _heading_level(paragraph, style):
            self.builder.heading(text, level)
        elif style.startswith("list") or paragraph.find(f"{_W}pPr/{_W}numPr") is not None:
            self.builder.list_item(text)
        else:
            self.builder.paragraph(text)


def _heading_level(paragraph: Element, style: str) -> int:
    if style == "title":
        return 1
    if match := _HEADING_STYLE.fullmatch(style):
        return int(match.group(1))
    outline = _value(paragraph, "pPr/outlineLvl")
    return int(outline) + 1 if outline and outline.isdecimal() and int(outline) < 9 else 0


def _value(element: Element, path: str) -> str | None:
    found = element.find("/".join(_W + name for name in path.split("/")))
    return found.get(f"{_W}val") if found is not None else None


def _rows(table: Element) -> Iterator[list[str]]:
    """The cells of each row; a cell that spans columns is repeated as often, one merged downwards is left empty."""
    for row in table.iterchildren(f"{_W}tr"):
        cells: list[str] = []
        for cell in row.iter(f"{_W}tc"):
            if next(cell.iterancestors(f"{_W}tr")) is not row:
                continue  # of a table inside this one; its text is in its outer cell
            span = _value(cell, "tcPr/gridSpan") or "1"
            cells.append(" ".join(_text(paragraph) for paragraph in cell.iter(_PARAGRAPH)).strip())
            cells += [""] * (min(int(span), 64) - 1 if span.isdecimal() else 0)
        yield cells


def _text(paragraph: Element) -> str:
    return "".join(_pieces(paragraph))


def _pieces(element: Element, depth: int = 0) -> Iterator[str]:
    for child in element:
        if child.tag == _TEXT:
            yield child.text or ""
        elif child.tag in (_TAB, _BREAK, _RETURN):
            yield "\t" if child.tag == _TAB else "\n"
        elif child.tag not in _LEFT_OUT and child.tag != _FALLBACK and depth < _MAX_DEPTH:
            yield from _pieces(child, depth + 1)
