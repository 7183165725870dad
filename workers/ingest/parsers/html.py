"""HTML: what a reader of the page reads, without its furniture."""

from __future__ import annotations

import re
from collections.abc import Iterator

import lxml.etree
import lxml.html

from contracts.errors import DocumentError, ErrorCode
from workers.ingest.parsers.base import BlockKind, ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.tables import add_table
from workers.ingest.parsers.visibility import Visibility

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NEVER = frozenset({
    "script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "math", "canvas", "audio",
    "video", "map", "head", "select", "datalist",
})  # fmt: skip
_FURNITURE = frozenset({
    "nav", "aside", "form", "button", "footer", "dialog", "menu", "input", "textarea",
})  # fmt: skip
_FURNITURE_ROLES = frozenset({
    "navigation", "banner", "contentinfo", "search", "complementary", "dialog", "menu", "toolbar",
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "main", "nav", "ol", "p", "section",
    "summary", "td", "th", "tr", "tbody", "thead", "ul", "caption",
})  # fmt: skip
_TOO_DEEP = "Excessive depth"  # libxml2 reads nothing more from there on
_SPACE = re.compile(r"\s+")


def parse_html(source: Source) -> ParsedDocument:
    """The visible text of a page; where leaving out its furniture leaves nothing, with the furniture."""
    root = _tree(source.text)
    if root is None:
        return TextBuilder().build()
    for lenient in (False, True):
        document = _read(root, lenient=lenient)
        if any(block.kind is not BlockKind.HEADING for block in document.blocks):
            return document
    return document


def html_text(fragment: str) -> str:
    """The text of an HTML fragment, for formats that hold some."""
    return parse_html(Source(b"", fragment)).text if "<" in fragment else fragment


def _tree(text: str) -> lxml.html.HtmlElement | None:
    # The parser refuses str with an encoding declaration; bytes with a stated encoding are always read.
    parser = lxml.html.HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True, recover=True
    )
    content = text.replace("\x00", "").encode("utf-8", errors="replace")
    try:
        root = lxml.html.document_fromstring(content, parser=parser)
    except lxml.etree.ParserError:  # nothing in it
        return None
    if any(_TOO_DEEP in error.message for error in parser.error_log):
        raise DocumentError(
            ErrorCode.CORRUPT,
            "The HTML is nested deeper than 256 levels and cannot be read. Save it in a simpler form.",
        )
    return root


def _read(root: lxml.html.HtmlElement, *, lenient: bool) -> ParsedDocument:
    body = root if root.tag == "body" else root.find("body")
    main = None if lenient or body is None else next(body.iter("main"), None)
    builder = TextBuilder()
    title = root.findtext("head/title")
    if title and next(root.iter("h1"), None) is None:
        builder.heading(title, 1)
    reader = _Reader(builder, Visibility(root), lenient=lenient)
    reader.block(next((element for element in (main, body, root) if element is not None), root))
    return builder.build()


class _Reader:
    """Walks the tree; gathers inline text and hands it over at the edges of block elements."""

    def __init__(self, builder: TextBuilder, visibility: Visibility, *, lenient: bool) -> None:
        self._builder = builder
        self._visibility = visibility
        self._lenient = lenient
        self._inline: list[str] = []

    def block(self, element: lxml.html.HtmlElement) -> None:
        self._flush()
        self._children(element)
        self._flush()

    def _children(self, element: lxml.html.HtmlElement) -> None:
        self._take(element.text)
        for child in element:
            self._element(child)
            self._take(child.tail)

    def _element(self, element: lxml.html.HtmlElement) -> None:
        tag = element.tag
        if not isinstance(tag, str) or self._left_out(element, tag):
            return
        if tag in _HEADINGS:
            self._flush()
            self._builder.heading(self._text_of(element), _HEADINGS[tag])
        elif tag == "li":
            self._item(element)
        elif tag == "pre":
            self._flush()
            self._builder.code("".join(self._shown(element)))
        elif tag == "table":
            self._table(element)
        elif tag == "br":
            self._inline.append("\n")
        elif tag in _BLOCKS:
            self.block(element)
        else:
            self._children(element)

    def _item(self, element: lxml.html.HtmlElement) -> None:
        self._flush()
        self._take(element.text)
        for child in element:
            if child.tag in ("ul", "ol"):
                self._flush(item=True)
            self._element(child)
            self._take(child.tail)
        self._flush(item=True)

    def _table(self, table: lxml.html.HtmlElement) -> None:
        self._flush()
        if next(table.iterdescendants("table"), None) is not None:  # nested tables are layout
            self._children(table)
            self._flush()
            return
        caption = table.find("caption")
        if caption is not None:
            self._builder.paragraph(self._text_of(caption))
        rows = [[self._cell(cell) for cell in row.iter("td", "th")] for row in table.iter("tr") if self._stands(row)]
        add_table(self._builder, rows)

    def _stands(self, row: lxml.html.HtmlElement) -> bool:
        """Whether a row of a table is shown, and so is the part of the table that it is in."""
        hides, part = self._visibility.hides, row.getparent()
        return not hides(row) and (part is None or part.tag == "table" or not hides(part))

    def _cell(self, cell: lxml.html.HtmlElement) -> str:
        """What a cell says; one that is hidden keeps its column."""
        return "" if self._visibility.hides(cell) else self._text_of(cell)

    def _shown(self, element: lxml.html.HtmlElement) -> Iterator[str]:
        """What is shown of preformatted text, as it is."""
        yield element.text or ""
        for child in element:
            if isinstance(child.tag, str) and not self._visibility.hides(child):
                yield from self._shown(child)
            yield child.tail or ""

    def _text_of(self, element: lxml.html.HtmlElement) -> str:
        return _SPACE.sub(" ", "".join(self._texts(element))).strip()

    def _texts(self, element: lxml.html.HtmlElement) -> Iterator[str]:
        yield element.text or ""
        for child in element:
            if isinstance(child.tag, str) and not self._left_out(child, child.tag):
                edge = " " if child.tag in _BLOCKS or child.tag in ("br", "li") else ""
                yield edge
                yield from self._texts(child)
                yield edge
            yield child.tail or ""

    def _left_out(self, element: lxml.html.HtmlElement, tag: str) -> bool:
        if tag in _NEVER or self._visibility.hides(element):
            return True
        return not self._lenient and (tag in _FURNITURE or element.get("role") in _FURNITURE_ROLES)

    def _take(self, text: str | None) -> None:
        if text:
            self._inline.append(_SPACE.sub(" ", text))

    def _flush(self, *, item: bool = False) -> None:
        text = "\n".join(line.strip() for line in "".join(self._inline).split("\n"))
        self._inline.clear()
        add = self._builder.list_item if item else self._builder.paragraph
        add(re.sub(r" {2,}", " ", text))
