"""The edge between a file and its text: what every parser gives back, and how the text is put together."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from workers.ingest.parsers.lines import joint

_INVISIBLE = dict.fromkeys(
    [
        *(c for c in range(0x20) if c not in (0x09, 0x0A)),
        *range(0x7F, 0xA0),
        0x00AD,  # soft hyphen
        0x200B,  # zero-width space
        *range(0x202A, 0x202F),  # bidirectional overrides
        *range(0x2060, 0x2070),
        0xFEFF,
        *range(0xD800, 0xE000),  # lone surrogates
        *range(0xE0000, 0xE0080),  # tag characters
        *range(0xFFFE, 0x10000),  # no characters; PDFium has one for a hyphen that only breaks a word
    ]
)
_TRANSLATION: dict[int, str | None] = {**_INVISIBLE, 0x00A0: " ", 0x2028: "\n", 0x2029: "\n", 0x0B: "\n", 0x0C: "\n"}
_LINE_ENDS = re.compile(r"\r\n?|\x85")
_SPACES = re.compile(r"[^\S\n]+")


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of structure: `text[start:end]` of its document. `level` is that of a heading, 1 the outermost."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The extracted text that all offsets refer to, and its structure.

    `blocks` are in order, do not overlap, and cover everything but white space. `pages` holds the offset at which each
    page (slide, sheet) begins, the first at 0; it is empty where the format has no pages.
    """

    text: str
    blocks: tuple[Block, ...]
    pages: tuple[int, ...] = ()

    def page_at(self, offset: int) -> int | None:
        """The number of the page that holds the character at `offset`, from 1; None where there are no pages."""
        return bisect_right(self.pages, offset) if self.pages else None


@dataclass(frozen=True, slots=True)
class Source:
    """A file as parsers get it. `text` is the decoded content of kinds that are text, else empty."""

    content: bytes
    text: str


class Parser(Protocol):
    """Reads one kind of file.

    Raises `DocumentError` for what its owner can mend; any other exception is taken for a corrupt file. Runs in the
    parser process only.
    """

    def __call__(self, source: Source) -> ParsedDocument: ...


def normalise(text: str) -> str:
    """NFC, line ends as LF, no control, zero-width or surrogate characters, no blanks at line ends."""
    text = _LINE_ENDS.sub("\n", text).translate(_TRANSLATION)
    return "\n".join(line.rstrip() for line in unicodedata.normalize("NFC", text).split("\n"))


def one_line(text: str) -> str:
    """Normalised, with every run of white space as one space."""
    return " ".join(normalise(text).split())


@dataclass
class TextBuilder:
    """Puts the extracted text together block by block; what is blank is left out."""

    _parts: list[str] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)
    _pages: list[int] = field(default_factory=list)
    _length: int = 0

    def new_page(self) -> None:
        """What is added from here on stands on the next page."""
        self._pages.append(self._length)

    def heading(self, text: str, level: int) -> None:
        self._add(BlockKind.HEADING, one_line(text), level=max(1, level))

    def paragraph(self, text: str) -> None:
        self._add(BlockKind.PARAGRAPH, _SPACES.sub(" ", normalise(text)).strip())

    def continue_paragraph(self, text: str) -> None:
        """Go on with the block added last, as a paragraph does that runs over the end of a page."""
        text = _SPACES.sub(" ", normalise(text)).strip()
        if not text or not self._blocks:
            self.paragraph(text)
            return
        self._append(joint(self._parts[-1], text) + text)
        self._blocks[-1] = replace(self._blocks[-1], end=self._length)

    def list_item(self, text: str) -> None:
        self._add(BlockKind.LIST_ITEM, _SPACES.sub(" ", normalise(text)).strip())

    def code(self, text: str) -> None:
        self._add(BlockKind.CODE, normalise(text).strip("\n").rstrip())

    def table_row(self, cells: Iterable[tuple[str, str]]) -> None:
        """A row as "header: value; header: value"; cells without a value are left out, an empty header is not shown."""
        pairs = ((one_line(header), one_line(value)) for header, value in cells)
        row = "; ".join(f"{header}: {value}" if header else value for header, value in pairs if value)
        self._add(BlockKind.TABLE_ROW, row)

    def build(self) -> ParsedDocument:
        pages = tuple(min(page, self._length) for page in self._pages)
        return ParsedDocument("".join(self._parts), tuple(self._blocks), (0, *pages[1:]) if pages else ())

    def _add(self, kind: BlockKind, text: str, *, level: int = 0) -> None:
        if not text or text.isspace():
            return
        if self._blocks:
            self._append(self._separator(kind))
        start = self._length
        self._append(text)
        self._blocks.append(Block(kind, start, self._length, level))

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _separator(self, kind: BlockKind) -> str:
        close = kind in (BlockKind.LIST_ITEM, BlockKind.TABLE_ROW) and self._blocks[-1].kind is kind
        return "\n" if close else "\n\n"
