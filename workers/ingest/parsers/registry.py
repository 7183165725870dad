"""Which parser reads which kind of file. Imported in the parser process only: the libraries are large."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workers.ingest.media_types import MediaType
from workers.ingest.parsers.base import Parser
from workers.ingest.parsers.csv import parse_csv
from workers.ingest.parsers.docx import parse_docx
from workers.ingest.parsers.html import parse_html
from workers.ingest.parsers.json import parse_json, parse_json_lines
from workers.ingest.parsers.mail import parse_mail
from workers.ingest.parsers.markdown import parse_markdown
from workers.ingest.parsers.pdf import parse_pdf
from workers.ingest.parsers.pptx import parse_pptx
from workers.ingest.parsers.text import parse_text
from workers.ingest.parsers.xlsx import parse_xlsx

PARSERS: Mapping[MediaType, Parser] = MappingProxyType(
    {
        MediaType.PDF: parse_pdf,
        MediaType.DOCX: parse_docx,
        MediaType.PPTX: parse_pptx,
        MediaType.XLSX: parse_xlsx,
        MediaType.HTML: parse_html,
        MediaType.MARKDOWN: parse_markdown,
        MediaType.CSV: parse_csv,
        MediaType.JSON: parse_json,
        MediaType.JSON_LINES: parse_json_lines,
        MediaType.EMAIL: parse_mail,
        MediaType.TEXT: lambda source: parse_text(source.text),
    }
)
