"""Tells HTML, Markdown, CSV, JSON and e-mail from plain text, by how the text is written."""

from __future__ import annotations

import csv
import json
import re
from itertools import islice

from workers.ingest.media_types import MediaType

_HINTS = {
    ".md": MediaType.MARKDOWN,
    ".markdown": MediaType.MARKDOWN,
    ".csv": MediaType.CSV,
    ".tsv": MediaType.CSV,
    ".htm": MediaType.HTML,
    ".html": MediaType.HTML,
    ".xhtml": MediaType.HTML,
    ".txt": MediaType.TEXT,
}
_HTML_START = re.compile(
    r"\s*+(?>(?:<\?xml[^>]*>|<!--.{0,4000}?-->)\s*+)*+(?:<!doctype\s+html|<(?:html|head|body|title|meta)\b)",
    re.IGNORECASE | re.DOTALL,
)
_HTML_FRAGMENT = re.compile(r"\s*<(?:div|p|h[1-6]|article|section|main|table|ul|ol|span)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_HEADER_FIELD = re.compile(r"([!-9;-~]+):[ \t]?.*|[ \t]+\S.*")
_MAIL_EVIDENCE = frozenset({"mime-version", "message-id", "received", "return-path", "delivered-to", "x-mailer"})
_MARKDOWN_EVIDENCE = (
    re.compile(r"^#{1,6} \S", re.MULTILINE),
    re.compile(r"^(?:```|~~~)", re.MULTILINE),
    re.compile(r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)"),
    re.compile(r"^\|?[ \t]*:?-{3,}:?[ \t]*\|", re.MULTILINE),
    re.compile(r"^[^\n]{1,80}\n(?:={3,}|-{3,})$", re.MULTILINE),
    re.compile(r"(?:\*\*|__)\w[^\n*_]{0,200}(?:\*\*|__)"),
    re.compile(r"^[-*+] \S", re.MULTILINE),
)
_MARKDOWN_SIGNS = 3
_DELIMITERS = ",;\t|"
_SAMPLE = 64 * 1024


def text_kind(text: str, *, extension: str) -> MediaType:
    """The kind of text. `extension` (".md") breaks the tie between Markdown, CSV, HTML fragments and plain text."""
    hint = _HINTS.get(extension)
    head = text[:_SAMPLE]
    if _is_mail(head):
        return MediaType.EMAIL
    if _HTML_START.match(head) or (hint is MediaType.HTML and _TAG.search(head)):
        return MediaType.HTML
    if kind := _json_kind(text):
        return kind
    if hint is MediaType.TEXT or hint is MediaType.MARKDOWN:
        return hint
    if _is_table(head, certain=hint is MediaType.CSV):
        return MediaType.CSV
    return _by_markup(head, extension=extension)


def _by_markup(head: str, *, extension: str) -> MediaType:
    if _HTML_FRAGMENT.match(head) and len(_TAG.findall(head)) >= 4:
        return MediaType.HTML
    # Other extensions are programs and settings, whose comments and lists look like Markdown.
    if not extension and sum(1 for sign in _MARKDOWN_EVIDENCE if sign.search(head)) >= _MARKDOWN_SIGNS:
        return MediaType.MARKDOWN
    return MediaType.TEXT


def _is_mail(head: str) -> bool:
    """RFC 5322: header fields, an empty line; From is mandatory, and something that only mail programs write."""
    header = re.split(r"\r?\n\r?\n", head.lstrip("\n"), maxsplit=1)[0]
    lines = header.splitlines()
    if lines and lines[0].startswith("From "):
        lines = lines[1:]
    fields = [_HEADER_FIELD.fullmatch(line) for line in lines]
    if not fields or not all(fields):
        return False
    names = {field.group(1).lower() for field in fields if field and field.group(1)}
    return "from" in names and (bool(names & _MAIL_EVIDENCE) or {"subject", "date", "to"} <= names)


def _json_kind(text: str) -> MediaType | None:
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        json.loads(text)
    except RecursionError:
        return MediaType.JSON
    except ValueError:
        return MediaType.JSON_LINES if start == "{" and _is_json_lines(text) else None
    return MediaType.JSON


def _is_json_lines(text: str) -> bool:
    lines = [line for line in islice(text[: _SAMPLE * 16].split("\n"), 5) if line.strip()]
    try:
        return len(lines) >= 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, RecursionError):
        return False


def _is_table(head: str, *, certain: bool) -> bool:
    """Lines with the same number of fields. Without a name that says so, at least three lines of three short fields."""
    lines = [line for line in head.splitlines()[:30] if line.strip()]
    if len(head) == _SAMPLE:
        lines = lines[:-1] or lines
    least_lines, least_fields = (1, 2) if certain else (3, 3)
    if len(lines) < least_lines:
        return False
    for delimiter in _DELIMITERS:
        rows = list(csv.reader(lines, delimiter=delimiter))
        widths = {len(row) for row in rows}
        if len(widths) == 1 and widths.pop() >= least_fields and (certain or _short_fields(rows)):
            return True
    return certain


def _short_fields(rows: list[list[str]]) -> bool:
    """Whether this is no prose and no Markdown table: short fields, no sentences, no bars at the edge."""
    fields = [field for row in rows for field in row]
    sentences = sum(1 for row in rows if row[-1].rstrip().endswith((".", "!", "?", "。", "！", "？")))
    short = sum(len(field) for field in fields) / len(fields) < 40
    return short and sentences < len(rows) / 2 and not any(row[0].lstrip().startswith("|") for row in rows)
