"""From chunks to rows: what is encoded, what is known already, what goes into the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.documents import Chunk, EmbedRequest
from contracts.errors import DocumentError, ErrorCode, TransientError
from contracts.identifiers import chunk_id, digest
from observability.stages import stage
from workers.embed.guarded_encoder import Encoder
from workers.encoding.base import Passage, PassageEmbedding
from workers.indexing.base import Row
from workers.indexing.passages import passage


class Rows(Protocol):
    """What of a `VectorIndex` is needed here."""

    async def upsert(self, rows: Sequence[Row]) -> None: ...

    async def embeddings(
        self, tenant: str, document_id: str, digests: Sequence[str]
    ) -> dict[str, PassageEmbedding]: ...


@dataclass(kw_only=True)
class Work:
    """One request on its way: `known` embeddings by digest, and the error that ended it, if one did."""

    request: EmbedRequest
    has_earlier: bool = False
    """Whether other generations of the document may have left embeddings to reuse."""
    known: dict[str, PassageEmbedding] = field(default_factory=dict)
    error: DocumentError | None = None


class Embedding:
    """Encodes the chunks of several requests together and writes them to the index."""

    def __init__(self, encoder: Encoder, index: Rows) -> None:
        self._encoder = encoder
        self._index = index

    async def embed(self, works: Sequence[Work]) -> None:
        """Index all chunks of all requests.

        A chunk that cannot be encoded sets its request's `error` and leaves that request's rows out; the others are
        not touched by it. Raises what encoder and index raise: then nothing is certain and all may be repeated.
        """
        for work in works:
            if work.has_earlier:
                work.known |= await self._reusable(work.request)
        await self._encode(works)
        await self._write([work for work in works if work.error is None])

    async def _reusable(self, request: EmbedRequest) -> dict[str, PassageEmbedding]:
        digests = [digest_of(chunk) for chunk in request.chunks]
        found = await self._index.embeddings(request.tenant, request.document_id, digests)
        sentences = {digest_of(chunk): len(chunk.sentences) for chunk in request.chunks}
        return {key: e for key, e in found.items() if len(e.sentences) == sentences[key]}

    async def _encode(self, works: Sequence[Work]) -> None:
        missing = [
            (work, chunk) for work in works for chunk in work.request.chunks if digest_of(chunk) not in work.known
        ]
        with stage("embeddings", {"gen_ai.operation.name": "embeddings", "waggle.passages": len(missing)}):
            outcomes = await self._encoder.encode([passage_of(chunk) for _, chunk in missing])
        for (work, chunk), outcome in zip(missing, outcomes, strict=True):
            if isinstance(outcome, Exception):
                work.error = work.error or _failure(work.request, chunk, outcome)
            else:
                work.known[digest_of(chunk)] = outcome

    async def _write(self, works: Sequence[Work]) -> None:
        """All rows at once; if they are refused, request by request, to find the one at fault."""
        rows = [row for work in works for row in _rows(work)]
        try:
            with stage("upsert", {"db.operation.name": "upsert", "db.operation.batch.size": len(rows)}):
                await self._index.upsert(rows)
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the engine makes of a row is that document's outcome
            if len(works) > 1:
                for work in works:
                    await self._write([work])
            else:
                works[0].error = _refused(works[0].request, error)


def passage_of(chunk: Chunk) -> Passage:
    return passage(chunk.text, heading=chunk.heading, sentences=chunk.sentences)


def digest_of(chunk: Chunk) -> str:
    """Stands for all that a chunk's embedding depends on."""
    encoded = passage_of(chunk)
    return digest(encoded.text, repr(encoded.sentences))


def _rows(work: Work) -> list[Row]:
    return [_row(work.request, chunk, work.known) for chunk in work.request.chunks]


def _row(request: EmbedRequest, chunk: Chunk, embeddings: Mapping[str, PassageEmbedding]) -> Row:
    key = digest_of(chunk)
    return Row(
        chunk_id=chunk_id(request.tenant, request.document_id, request.generation, chunk.ordinal),
        tenant=request.tenant,
        document_id=request.document_id,
        generation=request.generation,
        ordinal=chunk.ordinal,
        name=request.name,
        text=chunk.text,
        text_digest=key,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        heading=chunk.heading,
        metadata=request.metadata,
        sentences=chunk.sentences,
        embedding=embeddings[key],
    )


def _failure(request: EmbedRequest, chunk: Chunk, error: Exception) -> DocumentError:
    where = f" (page {chunk.page})" if chunk.page else ""
    return DocumentError(
        ErrorCode.ENCODING_FAILED,
        f"The passage at characters {chunk.start} to {chunk.end} of {request.name}{where} cannot be encoded ({error}): "
        "look at the text there, it may hold something that is no text, and submit the document again.",
    )


def _refused(request: EmbedRequest, error: Exception) -> DocumentError:
    return DocumentError(
        ErrorCode.ENCODING_FAILED,
        f"The passages of {request.name} are refused by the index ({error}): submit it again.",
    )
