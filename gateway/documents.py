"""`/v1/documents`: list, look at, delete. Uploads, progress and contents have their own modules."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import StringConstraints
from starlette.responses import Response

from contracts.documents import DocumentRecord, DocumentState
from contracts.identifiers import Token
from gateway import problems
from gateway.backend import Backend, Connected
from gateway.etags import UNCHANGED, IfNoneMatch, conditional, tag_of
from gateway.identity import Ingests, Reads
from gateway.openapi import refusals
from gateway.paging import USUAL, Cursor, Limit
from gateway.schemas import Deleted, DocumentList, DocumentView
from gateway.selection import Selection
from gateway.times import FORMS, Moment
from messaging.ledger import DocumentNotFoundError

router = APIRouter(prefix="/v1/documents", tags=["documents"])

MOST_PAIRS: Final = 8
Pair = Annotated[str, StringConstraints(max_length=1100, pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}=[^\x00]*$")]
DocumentId = Annotated[Token, Path(description="The document's id.", examples=["01JD5Y8Z0000000000000000AB"])]


@router.get("", response_model=DocumentList, responses=refusals(422, 503))
async def list_documents(
    identity: Reads,
    backend: Connected,
    state: Annotated[
        list[DocumentState] | None, Query(description="Only these states; default: all but deleted.")
    ] = None,
    name_prefix: Annotated[
        str | None, Query(min_length=1, max_length=512, description="Only names that begin so; in the order of names.")
    ] = None,
    metadata: Annotated[
        list[Pair] | None,
        Query(max_length=MOST_PAIRS, description="Only with these pairs, `key=value`.", examples=[["topic=bees"]]),
    ] = None,
    since: Annotated[Moment | None, Query(description=f"Only submitted then or later. {FORMS}")] = None,
    until: Annotated[Moment | None, Query(description="Only submitted before.")] = None,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Response:
    """List documents, newest submission first. A change shows here within moments; a single GET shows it at once."""
    wanted = Selection(
        states=state or (),
        name_prefix=name_prefix,
        metadata=dict(_pair(text) for text in metadata or ()),
        since=since,
        until=until,
    )
    await _caught_up(backend)
    page = await backend.readmodel.page(identity.tenant, wanted, limit=limit, cursor=cursor)
    following = f'"{page.next}"' if page.next else "null"
    return Response(f'{{"items":[{",".join(page.items)}],"next":{following}}}', media_type="application/json")


@router.get("/{document_id}", response_model=DocumentView, responses={**UNCHANGED, **refusals(404)})
async def show_document(
    identity: Reads, backend: Connected, document_id: DocumentId, if_none_match: IfNoneMatch = None
) -> Response:
    """Show a document as the ledger has it now. A deleted one is shown with the state `deleted`."""
    record = await find(backend, identity.tenant, document_id)
    body = DocumentView.of(record).model_dump_json()
    return conditional(Response(body, media_type="application/json"), tag_of(body), if_none_match)


@router.delete("/{document_id}", status_code=202, response_model=Deleted, responses=refusals(404, 422, 503))
async def delete_document(identity: Ingests, backend: Connected, document_id: DocumentId) -> Response:
    """Delete a document: no answer that begins after this response uses it; its data is removed soon after."""
    try:
        record = await backend.submissions.delete(identity.tenant, document_id)
    except DocumentNotFoundError:
        raise _unknown(document_id) from None
    deleted = Deleted(document_id=document_id, version=record.latest.version)
    return Response(deleted.model_dump_json(), 202, media_type="application/json")


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


async def find(backend: Backend, tenant: str, document_id: str) -> DocumentRecord:
    """The record, tombstones included. Raises a 404 problem."""
    record = await backend.ledger.get(tenant, document_id)
    if record is None:
        raise _unknown(document_id)
    return record


async def find_living(backend: Backend, tenant: str, document_id: str) -> DocumentRecord:
    """The record of a document that is not deleted. Raises a 404 problem."""
    record = await find(backend, tenant, document_id)
    if record.deleted:
        raise problems.not_found(f"The document {document_id} was deleted.")
    return record


async def _caught_up(backend: Backend) -> None:
    if backend.feed.caught_up.is_set():
        return
    try:
        async with asyncio.timeout(backend.limits.catch_up_s):
            await backend.feed.caught_up.wait()
    except TimeoutError:
        raise problems.unavailable("The list of documents is still being read from the ledger.") from None


def _unknown(document_id: str) -> problems.Problem:
    return problems.not_found(f"There is no document {document_id}. `/v1/documents` lists them.")
