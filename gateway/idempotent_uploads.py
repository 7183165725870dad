"""Uploads under an idempotency key: what they say is known only when they have been read, and they are never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol

from starlette.requests import Request
from starlette.responses import Response

from contracts.idempotency import IdempotentRequest
from contracts.identifiers import digest
from gateway import idempotency
from gateway.identity import Identity

if TYPE_CHECKING:
    from gateway.backend import Backend


class Said:
    """What the parts of an upload say, as it is read: their names and contents, not how they are framed."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._content = hashlib.sha256()

    def begin(self, field: str, file_name: str | None) -> None:
        """The next part."""
        self._end()
        self._parts += [field, "" if file_name is None else f"file {file_name}"]

    def add(self, piece: bytes) -> None:
        self._content.update(piece)

    async def of(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same pieces."""
        async for piece in pieces:
            self.add(piece)
            yield piece

    def fingerprint(self, request: Request) -> str:
        self._end()
        return idempotency.fingerprint_of(request, digest(*self._parts))

    def _end(self) -> None:
        self._parts.append(self._content.hexdigest())
        self._content = hashlib.sha256()


class Upload(Protocol):
    """One that is read, and either carried out or not."""

    @property
    def is_whole(self) -> bool: ...

    async def run(self) -> Response: ...

    async def read(self) -> None: ...


async def once_read(
    request: Request, backend: Backend, identity: Identity, made: Callable[[idempotency.Turn, Said], Upload]
) -> Response:
    """As `idempotency.once`. An upload of which something was refused is not remembered: what was accepted is the same when
    it comes again, and the rest is tried anew.
    """
    said = Said()
    key = idempotency.key_of(request)
    if key is None:
        return await made(idempotency.Turn(), said).run()
    begun = await idempotency.begin(backend.requests, identity, key, None)
    if isinstance(begun, IdempotentRequest):
        await made(idempotency.Turn(), said).read()
        if said.fingerprint(request) != begun.fingerprint:
            raise idempotency.differs()
        return idempotency.replayed(begun)
    upload = made(idempotency.Turn(id=begun.record.id), said)
    async with backend.requests.held(begun) as holding:
        try:
            response = await upload.run()
        except BaseException:
            await holding.release()
            raise
        if upload.is_whole:
            await holding.finish(
                status=response.status_code,
                body=bytes(response.body).decode(),
                fingerprint=said.fingerprint(request),
            )
        else:
            await holding.release()
    return response
