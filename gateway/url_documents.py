"""`POST /v1/documents/url`: a document that the gateway fetches itself, into the object store as it comes."""

from __future__ import annotations

import httpx
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from contracts.documents import DocumentRecord, Generation, GenerationState
from contracts.sources import document_of
from gateway import fetching, problems
from gateway.backend import Backend, Connected
from gateway.fetching import Fetched, FetchError
from gateway.idempotency import once
from gateway.identity import Identity, Ingests
from gateway.openapi import idempotent, json_body, refusals
from gateway.quotas import Room
from gateway.schemas import Accepted, DocumentUrl
from messaging import generations
from messaging.uploads import UploadTooLargeError

router = APIRouter(prefix="/v1/documents", tags=["documents"])


@router.post(
    "/url",
    status_code=202,
    response_model=Accepted,
    responses=refusals(409, 413, 502, 504),
    openapi_extra=idempotent(json_body(DocumentUrl)),
)
async def submit_url(identity: Ingests, backend: Connected, request: Request) -> Response:
    """Submit the document of a URL; answered when all of it is stored. Only where `WAGGLE_URL_INGESTION` allows it.

    The same URL again asks its server whether the document has changed, and starts nothing if not (`unchanged`).
    """
    given = await backend.json.read(request, DocumentUrl, at_most=backend.limits.query_bytes)
    return await once(request, backend, identity, given, lambda _: _submit(backend, identity, given))


async def _submit(backend: Backend, identity: Identity, given: DocumentUrl) -> Response:
    await backend.admission.document(identity.tenant)
    try:
        accepted = await _Submission(backend, identity, given).run()
    except FetchError as error:
        raise problems.of_fetching(error) from None
    except UploadTooLargeError as error:
        raise problems.too_large(str(error)) from None
    return Response(accepted.model_dump_json(), 202, media_type="application/json")


class _Submission:
    """One URL of one tenant. Raises `FetchError` and `UploadTooLargeError`; nothing is kept then."""

    def __init__(self, backend: Backend, identity: Identity, given: DocumentUrl) -> None:
        self._backend = backend
        self._identity = identity
        self._given = given
        self._url: httpx.URL = fetching.parsed(given.url)
        self._document_id = given.document_id or document_of(str(self._url))

    async def run(self) -> Accepted:
        record = await self._backend.ledger.get(self._identity.tenant, self._document_id)
        known = self._known(record)
        async with (
            self._backend.quotas.entering(
                self._identity.tenant, self._document_id, at_most=self._backend.limits.upload_max_bytes
            ) as room,
            self._backend.fetcher.fetch(
                self._url, max_bytes=room.max_bytes, known=known.source if known else None
            ) as fetched,
        ):
            if fetched.content is not None:
                return await self._submit(fetched, room)
        assert record is not None
        return await self._unchanged(record)

    def _known(self, record: DocumentRecord | None) -> Generation | None:
        """The generation that stands for what is asked for, if its server says that it is still the same."""
        latest = generations.current(record)
        if latest is None or latest.source is None or latest.source.url != str(self._url):
            return None
        same = latest.metadata == self._given.metadata and self._given.name in (None, latest.name)
        return latest if same else None

    async def _submit(self, fetched: Fetched, room: Room) -> Accepted:
        assert fetched.content is not None
        name = self._given.name or fetched.name
        submitted = await self._backend.submissions.submit(
            tenant=self._identity.tenant,
            principal=self._identity.principal,
            document_id=self._document_id,
            name=name,
            metadata=self._given.metadata,
            source=fetched.source,
            content=room.within(fetched.content),
            max_bytes=room.max_bytes,
        )
        return Accepted.of(submitted.record, name=name, unchanged=submitted.unchanged)

    async def _unchanged(self, record: DocumentRecord) -> Accepted:
        if record.latest.state is GenerationState.SUBMITTED:  # its own request may have been cut off
            await self._backend.submissions.resume(record)
        return Accepted.of(record, name=record.latest.name, unchanged=True)
