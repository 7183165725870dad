"""What commands print: results to standard output, all else to standard error, colours only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.segment import Segment
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

KIB = 1024
PIPE_COLUMNS = 200


_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
"""All but tab and new line: left out, as they were measured to take no room."""


class HarmlessConsole(Console):
    """A console on which labels, names and texts of others cannot move the cursor, or do more to a terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(_CONTROLS))


def console() -> Console:
    """Where results go. Without markup: names of documents may hold brackets."""
    return HarmlessConsole(highlight=False, soft_wrap=True, markup=False, width=_width(sys.stdout))


def messages() -> Console:
    """Where progress and remarks go: standard error, so that results can be piped."""
    return HarmlessConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, width=_width(sys.stderr))


def print_json(value: object) -> None:
    """One JSON document on standard output, indented for people on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent, default=str) + "\n")
    sys.stdout.flush()


def print_json_line(value: object) -> None:
    """One line of a stream of JSON documents."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def table(*columns: str, right: frozenset[str] = frozenset(), whole: frozenset[str] = frozenset()) -> Table:
    """A table; columns in `whole` are never broken over lines, so that what they hold can be copied."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
    return made


def _width(stream: TextIO) -> int | None:
    """None where the terminal says it; wide where there is none, as a pipe breaks no lines."""
    return None if stream.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS


def counted(number: int, noun: str) -> str:
    """1 as `1 chunk`, 2 as `2 chunks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(size_bytes: float | None) -> str:
    """1536 as `1.5 KiB`."""
    if size_bytes is None:
        return ""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} GiB"


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """How long ago, in one unit."""
    if moment is None:
        return ""
    return duration(((now or datetime.now(UTC)) - moment).total_seconds()) + " ago"


def duration(seconds: float) -> str:
    """90 as `1 min`."""
    if seconds < 60:
        return f"{max(0, seconds):.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // 3600:.0f} h" if seconds < 2 * 86400 else f"{seconds // 86400:.0f} d"


def plain(replies: Any) -> list[dict[str, Any]]:
    """Replies of the gateway as JSON values."""
    return [reply.plain() for reply in replies]
