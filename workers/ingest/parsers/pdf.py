"""PDF files through PDFium: the lines of each page with where they stand, handed on to `pdf_layout`."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from math import hypot

import pypdfium2 as pdfium
from pypdfium2 import raw

from contracts.errors import DocumentError, ErrorCode
from workers.ingest.parsers.base import ParsedDocument, Source
from workers.ingest.parsers.pdf_layout import lay_out
from workers.ingest.parsers.pdf_page import Cell, Line, Page, with_whole_rows

MAX_PAGES = 5_000
# Columns of a table are at least this far apart, in font sizes; words in justified text are not.
_CELL_GAP = 1.6
_SPACES = re.compile(r"(?<=\S) +(?=\S)")


def parse_pdf(source: Source) -> ParsedDocument:
    """Raises `DocumentError`: ENCRYPTED, CORRUPT, TOO_LARGE (pages), IMAGE_ONLY (pages, but hardly any text)."""
    document = _open(source.content)
    if len(document) > MAX_PAGES:
        raise DocumentError(
            ErrorCode.TOO_LARGE,
            f"The PDF has {len(document)} pages, the limit is {MAX_PAGES}. Split it and upload the parts.",
        )
    pages = [_page(document, number) for number in range(len(document))]
    if not any(line.text.strip() for page in pages for line in page.lines):
        raise _without_text(document)
    return lay_out(pages)


def _open(content: bytes) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentError(
                ErrorCode.ENCRYPTED, "The PDF is protected by a password. Remove the password and upload it again."
            ) from error
        raise DocumentError(
            ErrorCode.CORRUPT,
            "The PDF is damaged and cannot be opened. Open it in a PDF program, export it anew and upload that.",
        ) from error


def _without_text(document: pdfium.PdfDocument) -> DocumentError:
    if any(_has_image(document[number]) for number in range(len(document))):
        return DocumentError(
            ErrorCode.IMAGE_ONLY,
            f"The PDF has {_pages(document)} but no text, only images. "
            "Run text recognition (OCR) on it and upload the result.",
        )
    return DocumentError(
        ErrorCode.EMPTY, f"The PDF has {_pages(document)} without text or images. Upload one with text."
    )


def _pages(document: pdfium.PdfDocument) -> str:
    return "1 page" if len(document) == 1 else f"{len(document)} pages"


def _has_image(page: pdfium.PdfPage) -> bool:
    kinds = (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_SHADING)
    return next(page.get_objects(filter=kinds, max_depth=3), None) is not None


def _page(document: pdfium.PdfDocument, number: int) -> Page:
    page = document[number]
    text_page = page.get_textpage()
    try:
        return Page(height=page.get_height(), lines=tuple(with_whole_rows(_Lines(text_page).read())))
    finally:
        text_page.close()
        page.close()


class _Lines:
    """Reads a page line by line. PDFium counts text and characters apart: each position is looked up."""

    def __init__(self, text_page: pdfium.PdfTextPage) -> None:
        self._page = text_page

    def read(self) -> Iterator[Line]:
        at = 0
        for line in self._page.get_text_range().splitlines(keepends=True):
            content = line.rstrip()
            lead = len(line) - len(line.lstrip())
            if content.strip():
                yield self._line(content[lead:], at + lead, indent=content[:lead].count("\u3000"))
            at += len(line)

    def _line(self, text: str, at: int, *, indent: int) -> Line:
        size = self._size(at + _typical(text))
        left, first_baseline = self._origin(at)
        _, last_baseline = self._origin(at + len(text) - 1)
        return Line(
            text=text,
            left=left + indent * size,
            right=self._right(at + len(text) - 1),
            baseline=first_baseline,
            last_baseline=last_baseline,
            size=round(size, 1),
            cells=tuple(self._cells(text, at, size)),
        )

    def _cells(self, text: str, at: int, size: float) -> Iterator[Cell]:
        """The line, parted where it has gaps that no space between words has."""
        begin, cell_left = 0, self._origin(at)[0]
        for space in _SPACES.finditer(text):
            left, _ = self._origin(at + space.end())
            if left - self._right(at + space.start() - 1) > size * _CELL_GAP:
                yield Cell(cell_left, text[begin : space.start()])
                begin, cell_left = space.end(), left
        yield Cell(cell_left, text[begin:])

    def _size(self, text_index: int) -> float:
        """The font's size as it is shown, in points."""
        index = self._index(text_index)
        matrix = raw.FS_MATRIX()
        shown = raw.FPDFText_GetMatrix(self._page, index, ctypes.byref(matrix))
        return float(raw.FPDFText_GetFontSize(self._page, index)) * (hypot(matrix.c, matrix.d) if shown else 1.0)

    def _origin(self, text_index: int) -> tuple[float, float]:
        """Where a character stands on its baseline, in points from the lower left corner."""
        x, y = ctypes.c_double(), ctypes.c_double()
        raw.FPDFText_GetCharOrigin(self._page, self._index(text_index), ctypes.byref(x), ctypes.byref(y))
        return x.value, y.value

    def _right(self, text_index: int) -> float:
        left, right, bottom, top = (ctypes.c_double() for _ in range(4))
        index = self._index(text_index)
        raw.FPDFText_GetCharBox(self._page, index, *map(ctypes.byref, (left, right, bottom, top)))
        return right.value

    def _index(self, text_index: int) -> int:
        return max(0, int(raw.FPDFText_GetCharIndexFromTextIndex(self._page, text_index)))


def _typical(text: str) -> int:
    """Where a letter or digit stands near the middle: spaces and signs may be of other fonts, or of none."""
    middle = len(text) // 2
    return next((at for at in range(middle, len(text)) if text[at].isalnum()), middle)
