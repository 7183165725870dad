"""`POST /v1/documents`: files part by part into the object store, or one document as JSON text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from contracts.documents import Metadata
from contracts.errors import TransientError
from gateway import problems
from gateway.backend import Backend, Connected
from gateway.bodies import Body
from gateway.idempotency import Turn, once
from gateway.idempotent_uploads import Said, once_read
from gateway.identity import Identity, Ingests
from gateway.multipart import Part, boundary_of, parts
from gateway.openapi import idempotent, refusals, upload_body
from gateway.problems import Problem
from gateway.schemas import DOCUMENT_ID, METADATA, NAME, Accepted, DocumentText, Refused, Uploaded
from messaging.uploads import CHUNK_BYTES, UploadTooLargeError

Value = TypeVar("Value")

router = APIRouter(prefix="/v1/documents", tags=["documents"])

_FILES = "Of an upload of which some files were refused the others are not processed again (`unchanged`), and those are tried anew."


@router.post(
    "",
    status_code=202,
    response_model=Uploaded | Accepted,
    responses=refusals(400, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=idempotent(upload_body(DocumentText), says=_FILES),
)
async def submit_documents(identity: Ingests, backend: Connected, request: Request) -> Response:
    """Submit documents. What is listed with a `document_id` is stored, and ends `ready` or `failed` with a reason.

    Multipart: the fields `metadata` and `document_id`, if any, come before the files; each file is accepted or refused
    on its own. JSON: one document as text. The same content under the same id is not processed again.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        boundary = boundary_of(content_type)
        return await once_read(
            request, backend, identity, lambda turn, said: _Upload(backend, identity, request, boundary, turn, said)
        )
    given = await backend.json.read(request, DocumentText, at_most=backend.limits.json_document_bytes)
    return await once(request, backend, identity, given, lambda turn: _submit_text(backend, identity, given, turn))


async def _submit_text(backend: Backend, identity: Identity, given: DocumentText, turn: Turn) -> Response:
    try:
        accepted = await _submit(
            backend,
            identity,
            name=given.name,
            content=_pieces(given.text.encode()),
            metadata=given.metadata,
            document_id=given.document_id or turn.derived("document"),
        )
    except UploadTooLargeError as error:
        raise _as_problem(error) from None
    return Response(accepted.model_dump_json(), 202, media_type="application/json")


@dataclass
class _Fields:
    """The form fields seen so far."""

    metadata: Metadata = field(default_factory=dict)
    document_id: str | None = None


class _Upload:
    """One multipart request."""

    def __init__(
        self, backend: Backend, identity: Identity, request: Request, boundary: bytes, turn: Turn, said: Said
    ) -> None:
        self._turn = turn
        self._said = said
        self._backend = backend
        self._identity = identity
        self._limits = backend.limits
        self._body = Body(request, backend.limits)
        self._boundary = boundary
        self._fields = _Fields()
        self._items: list[Accepted | Refused] = []
        self._problems: list[Problem] = []
        self._current = ""
        self._fields_read = 0

    @property
    def is_whole(self) -> bool:
        """Whether every file was accepted."""
        return not self._problems

    async def run(self) -> Response:
        try:
            async for part in parts(self._body.chunks(), self._boundary):
                await self._take(part)
                if self._give_up():
                    break
        except Problem as problem:  # what follows in the body cannot be trusted, or was not read
            self._refuse(problem)
        return self._answer()

    async def read(self) -> None:
        """Only read what the body says."""
        async for part in parts(self._body.chunks(), self._boundary):
            self._said.begin(part.head.field, part.head.file_name)
            async for _ in self._said.of(part.chunks()):
                pass

    async def _take(self, part: Part) -> None:
        self._said.begin(part.head.field, part.head.file_name)
        self._current = part.head.file_name or part.head.field
        if part.head.file_name is None:
            await self._take_field(part)
            return
        try:
            self._items.append(await self._submit(part, part.head.file_name))
        except (Problem, UploadTooLargeError, TransientError) as error:
            self._refuse(_as_problem(error))

    async def _take_field(self, part: Part) -> None:
        if self._items:
            raise problems.invalid(f"The form field {part.head.field!r} must come before the files.")
        self._fields_read += 1
        if self._fields_read > self._limits.fields_per_request:
            raise problems.too_large(f"At most {self._limits.fields_per_request} form fields in one request.")
        value = await part.text(at_most=self._limits.field_bytes)
        self._said.add(value.encode())
        if part.head.field == "metadata":
            self._fields.metadata = _parsed(METADATA, value, "metadata", json=True)
        elif part.head.field == "document_id":
            self._fields.document_id = _parsed(DOCUMENT_ID, value, "document_id")
        else:
            raise problems.invalid(f"There is no form field {part.head.field!r}; files need a file name.")

    async def _submit(self, part: Part, file_name: str) -> Accepted:
        if len(self._items) >= self._limits.files_per_request:
            raise problems.too_large(f"At most {self._limits.files_per_request} files in one request.")
        if self._items and self._fields.document_id is not None:
            raise problems.invalid("A document_id names one document: send it with a single file.")
        return await _submit(
            self._backend,
            self._identity,
            name=_parsed(NAME, file_name, "file name"),
            content=self._said.of(part.chunks()),
            metadata=self._fields.metadata,
            document_id=self._fields.document_id or self._turn.derived(f"document {len(self._items)}"),
        )

    def _refuse(self, problem: Problem) -> None:
        self._problems.append(problem)
        self._items.append(Refused(name=self._current, problem=problem.document()))

    def _give_up(self) -> bool:
        """After a refusal, read on only where the rest is known to be worth it."""
        if not self._problems or isinstance(self._items[-1], Accepted):
            return False
        if self._problems[-1].status in (429, 503) or len(self._items) > self._limits.files_per_request:
            return True
        declared = self._body.declared_bytes
        return declared is None or declared - self._body.read_bytes > self._limits.upload_max_bytes

    def _answer(self) -> Response:
        if not self._items:
            raise problems.invalid("The form holds no file.")
        if len(self._problems) < len(self._items):
            return Response(Uploaded(items=self._items).model_dump_json(), 202, media_type="application/json")
        first = self._problems[0]
        if len(self._items) > 1:
            first.extensions["items"] = Uploaded(items=self._items).model_dump(mode="json")["items"]
        raise first


async def _submit(
    backend: Backend,
    identity: Identity,
    *,
    name: str,
    content: AsyncIterator[bytes],
    metadata: Metadata,
    document_id: str | None,
) -> Accepted:
    await backend.admission.document(identity.tenant)
    async with backend.quotas.entering(identity.tenant, document_id, at_most=backend.limits.upload_max_bytes) as room:
        submitted = await backend.submissions.submit(
            tenant=identity.tenant,
            principal=identity.principal,
            document_id=document_id,
            name=name,
            metadata=metadata,
            content=room.within(content),
            max_bytes=room.max_bytes,
        )
    return Accepted.of(submitted.record, name=name, unchanged=submitted.unchanged)


def _parsed(adapter: TypeAdapter[Value], value: str, what: str, *, json: bool = False) -> Value:
    try:
        return adapter.validate_json(value) if json else adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise problems.invalid(f"{what}: {first['msg']}.") from None


def _as_problem(error: Problem | UploadTooLargeError | TransientError) -> Problem:
    if isinstance(error, UploadTooLargeError):
        return problems.too_large(str(error))
    if isinstance(error, TransientError):
        return problems.of_transient(error)
    return error


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
