"""How a document goes from its upload to batches of chunks: fetch, read, plan first, then publish what was planned."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import BinaryIO

import structlog
from pydantic import TypeAdapter

from contracts import subjects, topology
from contracts.documents import (
    CHUNKING_VERSION,
    Chunk,
    EmbedRequest,
    Failure,
    Generation,
    GenerationState,
    IngestRequest,
    Plan,
)
from contracts.errors import PermanentError
from contracts.events import DocumentFact
from contracts.identifiers import digest
from messaging.breaker import Breaker
from messaging.broker import Broker
from messaging.document_failures import DocumentFailures
from messaging.errors import StreamFullError
from messaging.events import Events
from messaging.ledger import DocumentLedger, SupersededError
from messaging.submissions import Submissions
from messaging.uploads import UploadMissingError, Uploads
from observability.stages import stage
from workers.ingest.cutting import Cutting
from workers.ingest.result_file import Header, Result
from workers.ingest.sandbox import Sandbox

MESSAGE_BYTES = 240 * 1024
"""What an `EmbedRequest` may take; payloads stay below 256 KiB."""

_ENVELOPE_BYTES = 8 * 1024
_LEAST_BATCH_BYTES = 48 * 1024
_MAX_TEXT_BYTES = 512 * 1024 * 1024
_FULL_FIRST_PAUSE_S = 0.5
_FULL_LONGEST_PAUSE_S = 5.0

_CHUNKS: TypeAdapter[tuple[Chunk, ...]] = TypeAdapter(tuple[Chunk, ...])

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Where documents' states and bytes are kept."""

    ledger: DocumentLedger
    uploads: Uploads
    submissions: Submissions
    events: Events
    breaker: Breaker
    """That of the object store."""


class Ingestion:
    """Carries out `IngestRequest`s. Any of them may be repeated at any time, also while it is under way elsewhere.

    `get_on` is called with every batch, and while it is waited for room: no document takes too long that gets on.
    """

    def __init__(
        self,
        broker: Broker,
        archive: Archive,
        sandbox: Sandbox,
        *,
        cutting: Cutting,
        get_on: Callable[[], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._broker = broker
        self._archive = archive
        self._sandbox = sandbox
        self._cutting = cutting
        self._get_on = get_on
        self._jitter = jitter

    async def ingest(self, request: IngestRequest) -> None:
        """Read the upload, record the plan, publish the batches.

        Work on a generation that was replaced or deleted ends quietly. Raises `DocumentError` for a document that
        cannot be read, `TransientError` when something is away.
        """
        try:
            generation = await self._pending(request)
            async with self._fetched(request) as content:
                cutting = self._cutting_for(generation)
                extracting = self._sandbox.extract(content, name=request.name, cutting=cutting)
                async with AsyncExitStack() as extracted:
                    with stage("extract"):
                        result = await extracted.enter_async_context(extracting)
                    await self._carry_out(request, generation, result, cutting)
        except SupersededError as superseded:
            log.info("dropped", document_id=request.document_id, reason=str(superseded))
            await self._clear(request)

    async def fail(self, request: IngestRequest, error: PermanentError) -> None:
        """End the generation with the reason, and tell so. One that has ended otherwise is left alone."""
        failures = DocumentFailures(self._broker, self._archive.ledger, self._archive.events)
        await failures.fail(request, Failure(code=error.code, message=str(error)))

    async def _clear(self, request: IngestRequest) -> None:
        """Remove the uploads of a generation that never was to be seen, should they have come after its purge.

        One that has ended ready or failed keeps them: a repeated request changes nothing. One that may have been visible
        keeps them until its purge, since citations point there.
        """
        record = await self._archive.ledger.get(request.tenant, request.document_id)
        if record is None:
            return
        known = record.generation(request.generation)
        unseen = known is not None and known.state is GenerationState.SUPERSEDED and known.plan is None
        if record.deleted or known is None or unseen:
            await self._archive.uploads.delete(request.tenant, request.document_id, request.generation)

    async def _carry_out(
        self, request: IngestRequest, generation: Generation, result: Result, cutting: Cutting
    ) -> None:
        plan = _plan(request, result.header, cutting)
        tenant, document_id = request.tenant, request.document_id
        if not await self._is_planned(request, plan, media_type=result.header.media_type, text=result.text()):
            log.warning("plan cannot be reproduced, starting anew", document_id=document_id)
            await self._archive.submissions.resubmit(tenant, document_id, request.generation)
            return
        record = await self._archive.ledger.get(tenant, document_id)
        if record is not None:
            await self._archive.events.document(DocumentFact.PLANNED, record, request.generation)
        number = 0
        async for chunks in _pieces(result.batches()):
            await self._publish(request, generation, plan, number, chunks)
            number += 1

    async def _is_planned(self, request: IngestRequest, plan: Plan, *, media_type: str, text: Iterator[bytes]) -> bool:
        """Store the text, record the plan; False when another plan is on record."""
        tenant, document_id, generation = request.tenant, request.document_id, request.generation
        async with self._archive.breaker:
            await self._archive.uploads.put(
                tenant, document_id, generation, "text", _pieces(text), max_bytes=_MAX_TEXT_BYTES
            )
        recorded = await self._archive.ledger.plan(tenant, document_id, generation, plan, media_type)
        return recorded.plan_id == plan.plan_id

    async def _publish(
        self, request: IngestRequest, generation: Generation, plan: Plan, number: int, chunks: bytes
    ) -> None:
        """Publish a batch; while the queue is full, wait: that is how embedding slows reading down."""
        message = EmbedRequest(
            tenant=request.tenant,
            document_id=request.document_id,
            generation=request.generation,
            principal=request.principal,
            plan_id=plan.plan_id,
            batch=number,
            name=request.name,
            metadata=generation.metadata,
            chunks=_CHUNKS.validate_json(chunks),
        )
        pause_s = _FULL_FIRST_PAUSE_S
        while True:
            self._get_on()
            try:
                await self._broker.publish(
                    subjects.embed_request(request.tenant),
                    message,
                    stream=topology.EMBED,
                    message_id=f"{request.generation}.{number}",
                )
            except StreamFullError:
                await asyncio.sleep(pause_s * (0.5 + self._jitter()))
                pause_s = min(2 * pause_s, _FULL_LONGEST_PAUSE_S)
                await self._pending(request)
            else:
                return

    async def _pending(self, request: IngestRequest) -> Generation:
        """The generation of a request. Raises `SupersededError` when it is not to be worked on any more."""
        record = await self._archive.ledger.get(request.tenant, request.document_id)
        generation = record.generation(request.generation) if record else None
        if record is None or generation is None or record.pending_generation != request.generation:
            raise SupersededError(f"generation {request.generation} is not pending any more")
        return generation

    @asynccontextmanager
    async def _fetched(self, request: IngestRequest) -> AsyncIterator[BinaryIO]:
        """The uploaded bytes in a file that has no name."""
        with TemporaryFile() as file:
            pieces = self._archive.uploads.read(request.tenant, request.document_id, request.generation, "content")
            try:
                with stage("fetch"):
                    async with self._archive.breaker:
                        async for piece in pieces:
                            await asyncio.to_thread(file.write, piece)
            except UploadMissingError:
                await self._pending(request)  # a replaced or deleted document takes its upload with it
                raise
            yield file

    def _cutting_for(self, generation: Generation) -> Cutting:
        """Every batch carries the metadata, so it holds the less of chunks the more of these there are."""
        carried = sum(len(key) + len(value.encode()) + 8 for key, value in generation.metadata.items())
        room = MESSAGE_BYTES - _ENVELOPE_BYTES - carried
        return replace(self._cutting, batch_bytes=max(_LEAST_BATCH_BYTES, min(self._cutting.batch_bytes, room)))


def _plan(request: IngestRequest, header: Header, cutting: Cutting) -> Plan:
    """Another content, another way to cut, or a parser that reads it otherwise make another plan."""
    return Plan(
        plan_id=digest(
            CHUNKING_VERSION, request.sha256, str(cutting.chunk_tokens), str(cutting.overlap_tokens), header.fingerprint
        ),
        batches=header.batches,
        chunks=header.chunks,
        pages=header.pages,
        characters=header.characters,
    )


async def _pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
