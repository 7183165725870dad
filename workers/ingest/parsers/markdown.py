"""Markdown (CommonMark with tables), read through markdown-it-py."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.html import html_text
from workers.ingest.parsers.lines import join_lines
from workers.ingest.parsers.tables import add_table
from workers.ingest.parsers.visibility import HiddenMarkup

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?P<fields>.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(?P<name>[\w-]{1,40}):[ \t]+(?P<value>\S.*)$", re.MULTILINE)


def parse_markdown(source: Source) -> ParsedDocument:
    """Headings, paragraphs, list items, table rows and code; the markup itself is left out, link texts stay."""
    builder = TextBuilder()
    text = source.text.replace("\r\n", "\n").lstrip("\ufeff")
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        for field in _FIELD.finditer(front["fields"]):
            builder.list_item(f"{field['name']}: {field['value'].strip(chr(34) + chr(39))}")
    _Reader(builder).read(MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text))
    return builder.build()


class _Reader:
    """Follows the flat token stream; knows the table that it is in and whether it is in a list item."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._rows: list[list[str]] = []
        self._lists = 0
        self._heading = 0
        self._in_cell = False
        self._hidden = HiddenMarkup()

    def read(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            self._structure(token)
            if token.type == "html_block":
                self._html(token.content)
            elif not self._hidden.inside:
                self._content(token)

    def _html(self, markup: str) -> None:
        if not self._hidden.inside:
            self._builder.paragraph(html_text(markup))
        self._hidden.read(markup)

    def _structure(self, token: Token) -> None:
        match token.type:
            case "heading_open":
                self._heading = int(token.tag[1])
            case "heading_close":
                self._heading = 0
            case "list_item_open" | "list_item_close":
                self._lists += token.nesting
            case "tr_open":
                self._rows.append([])
            case "th_open" | "td_open" | "th_close" | "td_close":
                self._in_cell = token.nesting > 0
            case "table_close":
                add_table(self._builder, self._rows)
                self._rows = []

    def _content(self, token: Token) -> None:
        match token.type:
            case "inline":
                self._inline(_text(token.children or ()))
            case "fence" | "code_block":
                self._builder.code(token.content)

    def _inline(self, text: str) -> None:
        if self._in_cell:
            self._rows[-1].append(text)
        elif self._heading:
            self._builder.heading(text, self._heading)
        elif self._lists:
            self._builder.list_item(text)
        else:
            self._builder.paragraph(text)


def _text(tokens: Sequence[Token]) -> str:
    lines, hidden = [""], HiddenMarkup()
    for token in tokens:
        if token.type == "html_inline":
            hidden.read(token.content)
        if hidden.inside:
            continue
        match token.type:
            case "text" | "code_inline":
                lines[-1] += token.content
            case "softbreak":
                lines.append("")
            case "hardbreak":
                lines[-1] += "\n"
                lines.append("")
            case "image":
                lines[-1] += _text(token.children or ())
    return join_lines(line for line in lines if line)
