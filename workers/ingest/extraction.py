"""What becomes of a file: its text, its chunks, and the batches that they travel in. Knows no broker and no process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import lxml.etree

from contracts.documents import Chunk
from contracts.errors import DocumentError, ErrorCode
from workers.ingest.chunking import chunk
from workers.ingest.cutting import Cutting
from workers.ingest.detection import Detected, detect
from workers.ingest.media_types import MediaType
from workers.ingest.parsers.base import ParsedDocument, Source
from workers.ingest.parsers.registry import PARSERS
from workers.ingest.tokenization import Tokenizer

MAX_CHARACTERS = 20_000_000
_XML_OUT_OF_MEMORY = 2  # XML_ERR_NO_MEMORY, which libxml2 reports as any other error


@dataclass(frozen=True, kw_only=True)
class Parsed:
    media_type: MediaType
    document: ParsedDocument


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A document's chunks, batch by batch, each batch a JSON array."""

    chunks: int
    batches: tuple[bytes, ...]


def parse(content: bytes, *, name: str) -> Parsed:
    """Read a file. Raises `DocumentError`; what its parser does not understand is a corrupt file."""
    detected = detect(content, name=name)
    document = _parsed(detected, content)
    if not document.blocks:
        raise DocumentError(ErrorCode.EMPTY, "The file holds no text. Upload one that has text in it.")
    if len(document.text) > MAX_CHARACTERS:
        raise DocumentError(
            ErrorCode.TOO_LARGE,
            f"The file holds {len(document.text)} characters of text, the limit is {MAX_CHARACTERS}. "
            "Split it and upload the parts.",
        )
    return Parsed(media_type=detected.media_type, document=document)


def cut(document: ParsedDocument, cutting: Cutting, *, tokenizer: Tokenizer) -> Cut:
    """Cut the document into chunks and put these into batches."""
    chunks = chunk(
        document, tokenizer=tokenizer, max_tokens=cutting.chunk_tokens, overlap_tokens=cutting.overlap_tokens
    )
    batches = tuple(b"[" + b",".join(batch) + b"]" for batch in _batches(chunks, cutting))
    return Cut(chunks=len(chunks), batches=batches)


def _parsed(detected: Detected, content: bytes) -> ParsedDocument:
    try:
        return PARSERS[detected.media_type](Source(content, detected.text))
    except (DocumentError, MemoryError):
        raise
    except lxml.etree.XMLSyntaxError as error:
        if error.code == _XML_OUT_OF_MEMORY:
            raise MemoryError from error
        raise _corrupt(detected.media_type, error) from error
    except Exception as error:  # parsers raise anything on damaged files, and all of it means just that
        raise _corrupt(detected.media_type, error) from error


def _corrupt(media_type: MediaType, error: Exception) -> DocumentError:
    return DocumentError(
        ErrorCode.CORRUPT,
        f"The file looks like {media_type.label}, but is damaged and cannot be read ({type(error).__name__}). "
        "Open it with its program, save it anew and upload that.",
    )


def _batches(chunks: Iterable[Chunk], cutting: Cutting) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for one in chunks:
        encoded = one.model_dump_json().encode()
        if batch and (len(batch) >= cutting.batch_chunks or size + len(encoded) > cutting.batch_bytes):
            yield batch
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded) + 1
    if batch:
        yield batch
