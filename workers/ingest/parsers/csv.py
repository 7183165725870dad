"""Comma, semicolon or tab separated values: every record as a row that names its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.tables import add_table

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50


def parse_csv(source: Source) -> ParsedDocument:
    builder = TextBuilder()
    add_table(builder, _rows(source.text.replace("\x00", "")))
    return builder.build()


def _rows(text: str) -> Iterator[list[str]]:
    csv.field_size_limit(max(len(text), 1))
    return csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))


def _delimiter(text: str) -> str:
    """The one that splits most of the first lines into the same number of fields, and into the most."""
    lines = text.splitlines()[:_SAMPLE_LINES]

    def fit(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual) if usual > 1 else 0, usual)

    return max(_DELIMITERS, key=fit)
