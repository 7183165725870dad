"""What a file is, told from its content. The name decides only between kinds of text that look alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from contracts.errors import DocumentError, ErrorCode
from workers.ingest.containers import container_type
from workers.ingest.decoding import decode
from workers.ingest.media_types import SUPPORTED, MediaType
from workers.ingest.text_kinds import text_kind

_PDF_MARK = b"%PDF-"
_PDF_WITHIN = 1024  # readers accept a header that begins this late (PDF 1.7, annex H.3.4.1)
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_OLE_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_NO_TEXT = (b"{\\rtf", b"\x1f\x8b\x08")
"""How RTF and gzip begin, whatever text follows."""
_ARCHIVE = re.compile(r"archive|compressed", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Detected:
    """The kind of a file; `text` is its decoded text where it is a kind of text, else empty."""

    media_type: MediaType
    text: str = ""


def detect(content: bytes, *, name: str) -> Detected:
    """Tell what `content` is.

    Raises `DocumentError`: EMPTY, ENCRYPTED (Office files with a password), CORRUPT or TOO_LARGE (ZIP containers), and
    UNSUPPORTED_TYPE with what the file seems to be.
    """
    if not content.strip(b"\x00\t\n\v\f\r \xef\xbb\xbf\xff\xfe"):
        raise DocumentError(ErrorCode.EMPTY, "The file is empty. Upload one that has content.")
    if _PDF_MARK in content[:_PDF_WITHIN]:
        return Detected(media_type=MediaType.PDF)
    if content.startswith(_ZIP_MARKS):
        return Detected(media_type=container_type(content))
    if content.startswith(_OLE_MARK):
        raise _ole_error(content)
    text = None if content.startswith(_NO_TEXT) else decode(content)
    if text is None:
        raise _unsupported(content)
    return Detected(media_type=text_kind(text, extension=PurePosixPath(name).suffix.lower()), text=text)


def _ole_error(content: bytes) -> DocumentError:
    if _ENCRYPTED_PACKAGE in content:
        return DocumentError(
            ErrorCode.ENCRYPTED, "The Office file is protected by a password. Remove the password and upload it again."
        )
    return DocumentError(
        ErrorCode.UNSUPPORTED_TYPE,
        "The file seems to be a document of an Office version before 2007 (.doc, .xls, .ppt). "
        f"Save it as DOCX, XLSX, PPTX or PDF. Supported are {SUPPORTED}.",
    )


def _unsupported(content: bytes) -> DocumentError:
    kind, media_type = _seems(content)
    advice = _advice(kind, media_type)
    return DocumentError(
        ErrorCode.UNSUPPORTED_TYPE, f"The file seems to be {kind}. {advice} Supported are {SUPPORTED}."
    )


def _advice(kind: str, media_type: str) -> str:
    if media_type.startswith("image/"):
        return "Text in images is not read: run text recognition (OCR) and upload the PDF or text that it makes."
    if _ARCHIVE.search(kind):
        return "Unpack it and upload the documents in it."
    return "Convert it to a supported type."


def _seems(content: bytes) -> tuple[str, str]:
    import puremagic

    try:
        best = puremagic.magic_string(content[:8192])[0]
    except (puremagic.PureError, ValueError, IndexError):
        return "binary data of an unknown kind", ""
    return f"of the kind “{best.name}”", best.mime_type
