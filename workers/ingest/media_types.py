"""The kinds of files that Waggle reads, and how others are called when they are refused."""

from __future__ import annotations

from enum import StrEnum


class MediaType(StrEnum):
    """What a file is, judged by its content."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    CSV = "text/csv"
    JSON = "application/json"
    JSON_LINES = "application/x-ndjson"
    EMAIL = "message/rfc822"
    TEXT = "text/plain"

    @property
    def label(self) -> str:
        """What people call it."""
        return _LABELS.get(self, self.name)


_LABELS = {
    MediaType.MARKDOWN: "Markdown",
    MediaType.JSON_LINES: "JSON lines",
    MediaType.EMAIL: "an e-mail",
    MediaType.TEXT: "plain text",
}

SUPPORTED = "PDF, DOCX, PPTX, XLSX, HTML, Markdown, plain text, CSV, JSON and e-mail (.eml)"
