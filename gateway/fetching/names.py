"""What a fetched document is called."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httpx
from python_multipart.multipart import parse_options_header

_EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
MAX_CHARACTERS = 512


def name_of(url: httpx.URL, disposition: str) -> str:
    """What the server calls it (RFC 6266), else the end of the URL's path, else its host. Never a path."""
    return _label(_given(disposition)) or _label(url.path) or url.host


def _given(disposition: str) -> str:
    extended = _EXTENDED.search(disposition)
    if extended:
        return unquote(extended.group(1))
    _, options = parse_options_header(disposition)
    return options.get(b"filename", b"").decode(errors="replace")


def _label(text: str) -> str:
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    readable = "".join(c for c in last if c.isprintable()).strip()
    return "" if readable in {".", ".."} else readable[-MAX_CHARACTERS:].strip()
