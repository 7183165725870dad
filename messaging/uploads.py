"""Documents' bytes in the object store, streamed both ways.

The layout is that of NATS object stores (ADR-20), so any client can read them. Chunks are written one after another and
read back by direct gets; the library's own `put` and `get` want a file or the whole object in memory, and a consumer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from contracts import topology
from contracts.errors import DocumentError, ErrorCode, TransientError
from contracts.identifiers import new_id
from messaging.broker import Broker
from messaging.buckets import ERR_WRONG_LAST, HEADER_EXPECTED_LAST
from messaging.errors import PublishRefusedError
from messaging.redrive import Redrive
from messaging.storage import Storage, Stored

CHUNK_BYTES = 128 * 1024
READ_AHEAD = 8
"""Chunks asked for at once when reading: 1 MiB in memory."""

MAX_TRIES = 40
"""Of entering an object that others enter at the same moment."""

Part = Literal["content", "text"]
"""`content` is what was uploaded; `text` is what was extracted from it, in UTF-8."""


class UploadTooLargeError(DocumentError):
    """More bytes than allowed; nothing of them is kept."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            ErrorCode.TOO_LARGE,
            f"The document is larger than the {max_bytes} bytes allowed: split it, or raise WAGGLE_UPLOAD_MAX_BYTES.",
        )
        self.max_bytes = max_bytes


class UploadMissingError(DocumentError):
    """The object store has no such object: it was never there, or its document was deleted or replaced."""

    def __init__(self, name: str) -> None:
        super().__init__(ErrorCode.UPLOAD_MISSING, f"The upload {name} is not in the object store: submit it again.")


class DamagedUploadError(TransientError):
    """What was read is not what was written: removed or replaced while it was being read."""


@dataclass(frozen=True, kw_only=True)
class StoredUpload:
    """What `put` stored."""

    sha256: str
    size_bytes: int


class Uploads:
    """The object bucket `uploads`, by tenant, document, generation and part.

    All methods raise `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, broker: Broker, *, storage: Storage | None = None, redrive: Redrive | None = None) -> None:
        self._broker = broker
        self._storage = storage or Storage(broker)
        self._redrive = redrive or Redrive()
        self._bucket = topology.UPLOADS.name
        self._stream = f"OBJ_{self._bucket}"

    async def put(
        self,
        tenant: str,
        document_id: str,
        generation: str,
        part: Part,
        chunks: AsyncIterator[bytes],
        *,
        max_bytes: int,
    ) -> StoredUpload:
        """Store a stream of bytes, replacing what was there; at most `CHUNK_BYTES` beside the caller's are in memory.

        Raises `UploadTooLargeError` before anything above `max_bytes` is stored, and `StreamFullError` when the bucket
        is full. If it fails or is cancelled, nothing of it stays.
        """
        name = _name(tenant, document_id, generation, part)
        writing = _Writing(name)
        try:
            async for piece in _bounded(_recut(chunks), max_bytes):
                await self._publish(self._chunks(writing.nuid), piece)
                writing.add(piece)
            before = await self._enter(name, writing.info(self._bucket, self._broker.clock.now().isoformat()))
        except BaseException:
            await self._remove(f"half-written {name}", self._chunks(writing.nuid))
            raise
        if before is not None:
            await self._remove(f"replaced {name}", self._chunks(before["nuid"]))
        return StoredUpload(sha256=writing.sha.hexdigest(), size_bytes=writing.size)

    async def find(self, tenant: str, document_id: str, generation: str, part: Part) -> StoredUpload | None:
        """What is stored there, None for nothing."""
        info = await self._info(_name(tenant, document_id, generation, part))
        return None if info is None else StoredUpload(sha256=_hex(info["digest"]), size_bytes=info["size"])

    async def read(self, tenant: str, document_id: str, generation: str, part: Part) -> AsyncIterator[bytes]:
        """The bytes in order, `CHUNK_BYTES` at a time.

        Raises `UploadMissingError` before the first, and `DamagedUploadError` after the last if they do not add up.
        """
        name = _name(tenant, document_id, generation, part)
        info = await self._info(name)
        if info is None:
            raise UploadMissingError(name)
        sha, size, after = hashlib.sha256(), 0, 0
        while size < info["size"]:
            batch = await self._storage.following(
                self._stream, self._chunks(info["nuid"]), after=after, limit=READ_AHEAD
            )
            if not batch:
                break
            for chunk in batch:
                sha.update(chunk.data)
                size += len(chunk.data)
                yield chunk.data
            after = batch[-1].sequence
        if size != info["size"] or _digest(sha) != info["digest"]:
            raise DamagedUploadError(f"the upload {name} was removed or replaced while it was read: read it again")

    async def read_bytes(self, tenant: str, document_id: str, generation: str, part: Part) -> bytes:
        """The whole object; see `read`."""
        return b"".join([piece async for piece in self.read(tenant, document_id, generation, part)])

    async def delete(self, tenant: str, document_id: str, generation: str) -> None:
        """Remove all parts of a generation, without a trace; what is not there is no error."""
        for part in ("content", "text"):
            name = _name(tenant, document_id, generation, part)
            while (stored := await self._storage.last(self._stream, self._meta(name))) is not None:
                await self._storage.purge(self._stream, self._meta(name), up_to=stored.sequence)
                await self._storage.purge(self._stream, self._chunks(json.loads(stored.data)["nuid"]))

    async def look(self) -> None:
        """Raises `BrokerUnavailableError` unless the object store has a leader, which writes, and can be read."""
        await self._storage.last_sequence(self._stream)
        await self._storage.last(self._stream, self._meta("none"))

    async def probe(self) -> None:
        """Write a chunk that belongs to no document, read it and remove it. Raises what `put` and reading raise, and
        `DamagedUploadError` when it is not what was written.
        """
        subject, written = self._chunks(new_id()), b"probe"
        try:
            await self._publish(subject, written)
            read = await self._storage.last(self._stream, subject)
        finally:
            await self._remove("the chunk of a probe", subject)
        if read is None or read.data != written:
            raise DamagedUploadError("the object store does not give back what was written")

    async def close(self) -> None:
        """Give up removals that wait for the broker."""
        await self._redrive.close()

    async def _remove(self, what: str, subject: str) -> None:
        """Purge a subject; when the broker is away, as soon as it is back. Goes on if the caller is cancelled."""
        await self._redrive.now_or_later(f"removing {what}", lambda: self._storage.purge(self._stream, subject))

    async def _enter(self, name: str, info: dict[str, Any]) -> dict[str, Any] | None:
        """Make the object known; returns the entry it replaced. Of several writers at once each replaces another one."""
        for _ in range(MAX_TRIES):
            stored = await self._storage.last(self._stream, self._meta(name))
            headers = {"Nats-Rollup": "sub", HEADER_EXPECTED_LAST: str(stored.sequence if stored else 0)}
            try:
                await self._publish(self._meta(name), json.dumps(info).encode(), headers=headers)
            except PublishRefusedError as refusal:
                if refusal.err_code not in ERR_WRONG_LAST:
                    raise
            else:
                return _read(stored)
        raise DamagedUploadError(f"the upload {name} was replaced by others {MAX_TRIES} times in a row: write it again")

    async def _info(self, name: str) -> dict[str, Any] | None:
        return _read(await self._storage.last(self._stream, self._meta(name)))

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> None:
        """Not cut short by cancellation: a chunk stored after the purge that follows would be an orphan."""
        sent = asyncio.ensure_future(self._broker.publish_bytes(subject, payload, stream=self._stream, headers=headers))
        try:
            await asyncio.shield(sent)
        except asyncio.CancelledError:
            await asyncio.gather(sent, return_exceptions=True)
            raise

    def _chunks(self, nuid: str) -> str:
        return f"$O.{self._bucket}.C.{nuid}"

    def _meta(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


class _Writing:
    """An object while it is written: its digest and size so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nuid = new_id()
        self.sha = hashlib.sha256()
        self.size = 0
        self.chunks = 0

    def add(self, piece: bytes) -> None:
        self.sha.update(piece)
        self.size += len(piece)
        self.chunks += 1

    def info(self, bucket: str, mtime: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "bucket": bucket,
            "nuid": self.nuid,
            "size": self.size,
            "mtime": mtime,
            "chunks": self.chunks,
            "digest": _digest(self.sha),
            "deleted": False,
            "options": {"max_chunk_size": CHUNK_BYTES},
        }


def _name(tenant: str, document_id: str, generation: str, part: Part) -> str:
    return f"{tenant}/{document_id}/{generation}/{part}"


def _read(stored: Stored | None) -> dict[str, Any] | None:
    info: dict[str, Any] | None = json.loads(stored.data) if stored else None
    return None if info is None or info.get("deleted") else info


def _hex(digest: str) -> str:
    return base64.urlsafe_b64decode(digest.removeprefix("SHA-256=")).hex()


def _digest(sha: hashlib._Hash) -> str:
    return f"SHA-256={base64.urlsafe_b64encode(sha.digest()).decode()}"


async def _recut(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of `CHUNK_BYTES`, the last one shorter."""
    held = bytearray()
    async for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            held += piece[start : start + CHUNK_BYTES]
            if len(held) >= CHUNK_BYTES:
                yield bytes(held[:CHUNK_BYTES])
                del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)


async def _bounded(pieces: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    total = 0
    async for piece in pieces:
        total += len(piece)
        if total > max_bytes:
            raise UploadTooLargeError(max_bytes)
        yield piece
