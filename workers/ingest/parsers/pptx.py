"""Presentations: a page per slide, with its title, texts, tables and notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pptx
from pptx.shapes.autoshape import Shape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape

from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.tables import add_table

if TYPE_CHECKING:
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide
    from pptx.text.text import TextFrame

_MAX_DEPTH = 20


def parse_pptx(source: Source) -> ParsedDocument:
    """Hidden slides are left out, but counted, so that page numbers are those that the program shows."""
    builder = TextBuilder()
    for slide in pptx.Presentation(io.BytesIO(source.content)).slides:
        builder.new_page()
        if slide._element.get("show") != "0":  # noqa: SLF001 - the library has no name for it
            _slide(builder, slide)
    return builder.build()


def _slide(builder: TextBuilder, slide: Slide) -> None:
    title = slide.shapes.title
    if title is not None:
        builder.heading(title.text_frame.text, 1)
    for shape in _flat(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if isinstance(shape, GraphicFrame):
            if shape.has_table:
                add_table(builder, [[cell.text for cell in row.cells] for row in shape.table.rows])
        elif isinstance(shape, Shape):
            _text(builder, shape.text_frame)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        _text(builder, slide.notes_slide.notes_text_frame)


def _flat(shapes: Iterable[BaseShape], depth: int = 0) -> Iterator[BaseShape]:
    for shape in shapes:
        if isinstance(shape, GroupShape) and depth < _MAX_DEPTH:
            yield from _flat(shape.shapes, depth + 1)
        else:
            yield shape


def _text(builder: TextBuilder, frame: TextFrame) -> None:
    paragraphs = [paragraph.text for paragraph in frame.paragraphs if paragraph.text.strip()]
    add = builder.list_item if len(paragraphs) > 1 else builder.paragraph
    for paragraph in paragraphs:
        add(paragraph)
