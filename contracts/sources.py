"""Where a document was fetched from, as its ledger record keeps it."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from contracts.identifiers import digest
from contracts.message import Value

MAX_URL_CHARACTERS = 2048
SourceUrl = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARACTERS)]
Validator = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")]
"""What a server is asked with whether its document has changed: an ETag or a Last-Modified (RFC 9110, 8.8)."""


class UrlSource(Value):
    """The URL that was asked for, the one that answered after redirects, and what that one said of its version."""

    url: SourceUrl
    answered_by: SourceUrl
    etag: Validator | None = None
    last_modified: Validator | None = None


def document_of(url: str) -> str:
    """The id of the document of a URL where none is given: the same each time."""
    return f"url-{digest(url)[:26]}"
