"""JSON and JSON lines: records as rows, long texts as paragraphs under the name of their field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from contracts.errors import DocumentError, ErrorCode
from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | bool | None"

MAX_DEPTH = 64
_LONG = 200


def parse_json(source: Source) -> ParsedDocument:
    """Raises `DocumentError` CORRUPT for text that is nested deeper than `MAX_DEPTH`."""
    try:
        return _parse(json.loads(source.text))
    except RecursionError as error:
        raise _too_deep() from error


def parse_json_lines(source: Source) -> ParsedDocument:
    """One value a line. Raises `DocumentError` CORRUPT naming the first line that is not JSON."""
    values = []
    for number, line in enumerate(source.text.split("\n"), start=1):
        try:
            values += [json.loads(line)] if line.strip() else []
        except RecursionError as error:
            raise _too_deep() from error
        except ValueError as error:
            raise DocumentError(
                ErrorCode.CORRUPT,
                f"Line {number} of the file is not valid JSON: {error}. Correct it and upload it again.",
            ) from error
    return _parse(values)


def _parse(value: Json) -> ParsedDocument:
    builder = TextBuilder()
    _Reader(builder).read("", value, depth=1)
    return builder.build()


def _too_deep() -> DocumentError:
    return DocumentError(
        ErrorCode.CORRUPT, f"The JSON is nested deeper than {MAX_DEPTH} levels. Flatten it and upload it again."
    )


class _Reader:
    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder

    def read(self, name: str, value: Json, *, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict) and not _is_record(value):
            self._object(name, value, depth=depth)
        elif isinstance(value, dict):
            self._heading(name, depth)
            self._builder.table_row(_cells(value))
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            self._list(name, value, depth=depth)
        else:
            self._scalar(name, _shown(value), depth=depth)

    def _object(self, name: str, value: Mapping[str, Json], *, depth: int) -> None:
        self._heading(name, depth)
        plain = {key: item for key, item in value.items() if _is_plain(item)}
        self._builder.table_row(_cells(plain))
        for key, item in value.items():
            if key not in plain:
                self.read(key, item, depth=depth + 1)

    def _list(self, name: str, value: Sequence[Json], *, depth: int) -> None:
        self._heading(name, depth)
        for item in value:
            self.read("", item, depth=depth + 1)

    def _scalar(self, name: str, text: str, *, depth: int) -> None:
        if len(text) > _LONG or "\n" in text:
            self._heading(name, depth)
            self._builder.paragraph(text)
        else:
            self._builder.table_row([(name, text)])

    def _heading(self, name: str, depth: int) -> None:
        if name:
            self._builder.heading(name, min(depth, 6))


def _is_plain(value: Json) -> bool:
    """What fits into a cell: a short value or a list of such."""
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value) and len(_shown(value)) <= _LONG
    return not isinstance(value, dict) and len(_shown(value)) <= _LONG


def _is_record(value: Mapping[str, Json]) -> bool:
    return all(
        _is_plain(item) or (isinstance(item, dict) and all(map(_is_plain, item.values()))) for item in value.values()
    )


def _cells(record: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _cells(value, prefix=f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _shown(value)


def _shown(value: Json) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(_shown, value))
        case _:
            return json.dumps(value, ensure_ascii=False)
