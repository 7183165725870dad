"""E-mail (RFC 5322, MIME): subject, who and when, the text; attachments by name."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser

from workers.ingest.decoding import decode
from workers.ingest.parsers.base import ParsedDocument, Source, TextBuilder
from workers.ingest.parsers.html import html_text

_FIELDS = ("From", "To", "Cc", "Date")


def parse_mail(source: Source) -> ParsedDocument:
    """The plain text where a message has one, else its HTML."""
    message = BytesParser(policy=policy.default).parsebytes(source.content)
    builder = TextBuilder()
    builder.heading(_field(message, "Subject"), 1)
    for name in _FIELDS:
        if value := _field(message, name):
            builder.list_item(f"{name}: {value}")
    for paragraph in _body(message).replace("\r\n", "\n").split("\n\n"):
        builder.paragraph(paragraph)
    for attachment in message.iter_attachments() if message.is_multipart() else ():
        if filename := attachment.get_filename():
            builder.list_item(f"Attachment: {filename}")
    return builder.build()


def _field(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (
        ValueError,
        IndexError,
        AttributeError,
        TypeError,
        LookupError,
    ):  # what the parser raises on mangled headers
        return next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _body(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    text = _text(part)
    return html_text(text) if part.get_content_subtype() == "html" else text


def _text(part: MIMEPart) -> str:
    try:
        content = part.get_content()
    except (LookupError, ValueError, KeyError):  # an unknown charset or transfer encoding
        payload = part.get_payload(decode=True)
        content = decode(payload) if isinstance(payload, bytes) else str(payload)
    return content if isinstance(content, str) else ""
