"""Reads files in the tests' own process, and shows what was made of them."""

from __future__ import annotations

import pytest

from contracts.errors import DocumentError
from workers.ingest.extraction import parse
from workers.ingest.parsers.base import BlockKind, ParsedDocument

BODY = "The broker stores every message before it answers, and nothing is lost when it stops."


def read(content: bytes | str, name: str = "upload") -> ParsedDocument:
    return parse(content.encode() if isinstance(content, str) else content, name=name).document


def shown(document: ParsedDocument) -> list[tuple[str, str]]:
    """Blocks as ("h1", text) for headings and (kind, text) for others."""
    return [
        (f"h{b.level}" if b.kind is BlockKind.HEADING else b.kind.value, document.text[b.start : b.end])
        for b in document.blocks
    ]


def refusal(content: bytes, name: str = "upload") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(content, name=name)
    return caught.value
