"""`/v1/documents/{id}/text` and `/content`: what a document says, and the bytes that were uploaded."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from contracts.documents import DocumentRecord, Generation
from contracts.identifiers import Token
from gateway import problems
from gateway.backend import Backend, Connected
from gateway.documents import DocumentId, find_living
from gateway.etags import IfNoneMatch, conditional
from gateway.identity import Reads
from gateway.openapi import refusals, text
from messaging.uploads import Part, UploadMissingError

router = APIRouter(prefix="/v1/documents", tags=["documents"])

OCTETS = "application/octet-stream"
SAFE_MEDIA_TYPES = frozenset(
    {
        "application/json",
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "text/csv",
        "text/markdown",
        "text/plain",
    }
)
"""What is handed out under its own type; anything that a browser might run is plain bytes."""

_SANDBOXED = {"Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "private, no-cache"}
_OfGeneration = Annotated[
    Token | None, Query(description="`generation` of a citation or passage; default: the one that searches see.")
]


@router.get(
    "/{document_id}/text",
    response_class=Response,
    responses={200: text("UTF-8.", "text/plain", example="Bees dance."), **refusals(404)},
)
async def document_text(
    identity: Reads,
    backend: Connected,
    document_id: DocumentId,
    start: Annotated[int, Query(ge=0, description="First character.")] = 0,
    end: Annotated[int | None, Query(ge=0, description="Character after the last; default: to the end.")] = None,
    generation: _OfGeneration = None,
) -> Response:
    """The extracted text that offsets of passages and citations refer to, or its characters from `start` to `end`."""
    if end is not None and end < start:
        raise problems.invalid("`end` must not be before `start`.")
    record = await find_living(backend, identity.tenant, document_id)
    chosen = _generation(record, generation)
    stored = await _opened(backend, record, chosen, "text")
    return StreamingResponse(
        _characters(stored, start, end), headers=_SANDBOXED, media_type="text/plain; charset=utf-8"
    )


@router.get(
    "/{document_id}/content",
    response_class=Response,
    responses={
        200: text("As they were uploaded.", OCTETS, *sorted(SAFE_MEDIA_TYPES), example="Bees dance."),
        **refusals(404),
    },
)
async def document_content(
    identity: Reads,
    backend: Connected,
    document_id: DocumentId,
    generation: _OfGeneration = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The original bytes, as a download."""
    record = await find_living(backend, identity.tenant, document_id)
    chosen = _generation(record, generation)
    tag = f'"{chosen.sha256}"'
    known = conditional(Response(), tag, if_none_match)
    if known.status_code == 304:
        return known
    headers = {
        **_SANDBOXED,
        "Content-Disposition": _attachment(chosen.name),
        "Content-Length": str(chosen.size_bytes),
        "Content-Type": chosen.media_type if chosen.media_type in SAFE_MEDIA_TYPES else OCTETS,
        "ETag": tag,
    }
    stored = await _opened(backend, record, chosen, "content")
    return StreamingResponse(stored, headers=headers)


def _generation(record: DocumentRecord, asked: str | None) -> Generation:
    chosen = record.generation(asked or record.searchable_generation or record.latest.generation)
    if chosen is None:
        raise problems.not_found(f"The document {record.document_id} has no generation {asked}.")
    return chosen


async def _opened(backend: Backend, record: DocumentRecord, chosen: Generation, part: Part) -> AsyncIterator[bytes]:
    """The stored bytes, the first of them already read: what cannot be had is said before the response begins."""
    stored = backend.uploads.read(record.tenant, record.document_id, chosen.generation, part)
    try:
        first = await anext(stored, b"")
    except UploadMissingError:
        what = "extracted text yet, or not any more" if part == "text" else "original any more"
        raise problems.not_found(f"The document {record.document_id} has no {what}.") from None
    return _chained(first, stored)


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _characters(stored: AsyncIterator[bytes], start: int, end: int | None) -> AsyncIterator[bytes]:
    """UTF-8 of the characters from `start` to `end`, never more than one piece in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    async for piece in stored:
        decoded = decoder.decode(piece)
        wanted = decoded[max(0, start - position) : None if end is None else max(0, end - position)]
        position += len(decoded)
        if wanted:
            yield wanted.encode()
        if end is not None and position >= end:
            return


def _attachment(name: str) -> str:
    """A Content-Disposition (RFC 6266) for the last part of a name, whatever characters it has."""
    last = PurePosixPath(name.replace("\\", "/")).name or "document"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " .-_()") else "_" for c in last)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe='')}"
