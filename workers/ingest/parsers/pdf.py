"""PDF files through PDFium: the lines of each page with where they stand, handed on to `pdf_layout`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pypdfium2 as pdfium
from pypdfium2 import raw

from contracts.errors import DocumentError, ErrorCode
from workers.ingest.parsers.base import ParsedDocument, Source
from workers.ingest.parsers.pdf_layout import Line, Page, lay_out

MAX_PAGES = 5_000


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
            f"The PDF has {len(document)} pages but no text, only images. "
            "Run text recognition (OCR) on it and upload the result.",
        )
    return DocumentError(
        ErrorCode.EMPTY, f"The PDF has {len(document)} pages and nothing on them. Upload one with text."
    )


def _has_image(page: pdfium.PdfPage) -> bool:
    kinds = (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_SHADING)
    return next(page.get_objects(filter=kinds, max_depth=3), None) is not None


def _page(document: pdfium.PdfDocument, number: int) -> Page:
    page = document[number]
    text_page = page.get_textpage()
    try:
        return Page(height=page.get_height(), lines=tuple(_lines(text_page)))
    finally:
        text_page.close()
        page.close()


def _lines(text_page: pdfium.PdfTextPage) -> Iterator[Line]:
    text = text_page.get_text_range()
    at = 0
    for line in text.splitlines(keepends=True):
        content = line.rstrip()
        lead = len(line) - len(line.lstrip())
        if content.strip():
            left, bottom, _, top = _box(text_page, at + lead)
            _, _, right, _ = _box(text_page, at + len(content) - 1)
            indent = (top - bottom) * content[:lead].count("\u3000")
            yield Line(text=content[lead:], left=left + indent, right=right, bottom=bottom, size=round(top - bottom, 1))
        at += len(line)


def _box(text_page: pdfium.PdfTextPage, text_index: int) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a character with its ascent and descent, in points from the lower left corner."""
    index = raw.FPDFText_GetCharIndexFromTextIndex(text_page, text_index)
    box = raw.FS_RECTF()
    if index < 0 or not raw.FPDFText_GetLooseCharBox(text_page, index, ctypes.byref(box)):
        return 0.0, 0.0, 0.0, 0.0
    return box.left, box.bottom, box.right, box.top
