"""Tables as text: every row names its columns, so that it can be read on its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workers.ingest.parsers.base import TextBuilder


def add_table(builder: TextBuilder, rows: Iterable[Sequence[str]]) -> None:
    """Add the rows as "header: value; …". The first row that is not blank holds the headers, if it reads like them."""
    filled = (row for row in rows if any(cell.strip() for cell in row))
    first = next(filled, None)
    if first is None:
        return
    second = next(filled, None)
    headers = first if second is not None and _are_headers(first) else ()
    if not headers:
        _add_row(builder, (), first)
    if second is not None:
        _add_row(builder, headers, second)
    for row in filled:
        _add_row(builder, headers, row)


def _are_headers(row: Sequence[str]) -> bool:
    """Column names: at least two, different, short, and none of them a number."""
    names = [cell.strip() for cell in row if cell.strip()]
    return len(names) >= 2 and len(set(names)) == len(names) and all(_is_name(name) for name in names)


def _is_name(cell: str) -> bool:
    return len(cell) <= 60 and any(character.isalpha() for character in cell)


def _add_row(builder: TextBuilder, headers: Sequence[str], row: Sequence[str]) -> None:
    padded = [*headers, *[""] * (len(row) - len(headers))]
    builder.table_row(zip(padded, row, strict=False))
