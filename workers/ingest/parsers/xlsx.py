"""Workbooks: a page per sheet, every row naming its columns. Formulas count with their last result."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time

import openpyxl

from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.tables import add_table

MAX_COLUMNS = 500


def parse_xlsx(source: Source) -> ParsedDocument:
    """Hidden sheets are left out. Of very wide sheets the first `MAX_COLUMNS` columns are read."""
    builder = TextBuilder()
    workbook = openpyxl.load_workbook(io.BytesIO(source.content), read_only=True, data_only=True)
    for sheet in workbook.worksheets:
        builder.new_page()
        if sheet.sheet_state == "visible":
            sheet.reset_dimensions()  # what the file says about its size may be anything
            builder.heading(sheet.title, 1)
            add_table(builder, _rows(sheet.iter_rows(values_only=True)))
    return builder.build()


def _rows(rows: Iterable[tuple[object, ...]]) -> Iterator[list[str]]:
    for whole in rows:
        row = whole[:MAX_COLUMNS]  # given to the library as a limit, every row would be filled up to it
        if any(value is not None for value in row):
            yield [_shown(value) for value in row]


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case datetime():
            midnight = value.time() == time()
            return value.date().isoformat() if midnight else value.isoformat(sep=" ", timespec="minutes")
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)
