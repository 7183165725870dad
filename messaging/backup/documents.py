"""Documents on their way into a backup: each with the content that belongs to it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from contracts import topology
from contracts.documents import DocumentRecord, GenerationState
from messaging.backup.errors import BackupError
from messaging.backup.format import BackedDocument, BackedUpload
from messaging.backup.writing import UploadArchive
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry
from messaging.ledger import record_of
from messaging.uploads import DamagedUploadError, Part, StoredUpload, UploadMissingError, Uploads

MAX_LOOKS = 20
"""At one document that is replaced each time its content is being read."""

MAX_READS = 3
"""Of one upload: an extracted text is replaced when its document is read again."""

_PARTS: tuple[Part, ...] = ("content", "text")


class Documents:
    """Copies documents' uploads into an archive."""

    def __init__(self, broker: Broker, archive: UploadArchive, uploads: Uploads | None = None) -> None:
        self._ledger = Bucket(broker, topology.DOCUMENTS)
        self._uploads = uploads or Uploads(broker)
        self._archive = archive

    async def copy(self, entry: Entry) -> BackedDocument | None:
        """A document with its uploads; None when its entry was removed altogether.

        An upload that is gone was removed because the document was deleted or replaced since `entry` was read: then its
        newer record is taken, with the uploads of that. So what a record needs is there, but for what had been lost
        before. Raises `BrokerUnavailableError` and `UnreadableRecordError`.
        """
        copied: dict[tuple[str, Part], BackedUpload] = {}
        for _ in range(MAX_LOOKS):
            record = record_of(entry)
            if record is None:
                return None
            wanted = needed(record)
            await self._copy_all(record, wanted, copied)
            uploads = tuple(upload for upload in copied.values() if upload.generation in wanted)
            backed = BackedDocument(revision=entry.revision, record=record, uploads=uploads)
            if not missing(backed):
                return backed
            newer = await self._ledger.get(entry.key)
            if newer is None or newer.revision == entry.revision:
                return backed
            entry = newer
        raise BackupError(f"document {entry.key} was replaced {MAX_LOOKS} times while it was read: try again later")

    async def _copy_all(
        self, record: DocumentRecord, generations: tuple[str, ...], copied: dict[tuple[str, Part], BackedUpload]
    ) -> None:
        for generation in generations:
            for part in _PARTS:
                if (generation, part) in copied:
                    continue
                upload = await self._copy(record, generation, part)
                if upload is not None:
                    copied[generation, part] = upload

    async def _copy(self, record: DocumentRecord, generation: str, part: Part) -> BackedUpload | None:
        names = (record.tenant, record.document_id, generation, part)
        for _ in range(MAX_READS):
            stored = await self._uploads.find(*names)
            if stored is None:
                return None
            try:
                content = _exactly(stored, self._uploads.read(*names))
                offset = await self._archive.add("/".join(names), stored.size_bytes, content)
            except (UploadMissingError, DamagedUploadError):
                continue
            return BackedUpload(
                generation=generation, part=part, offset=offset, size_bytes=stored.size_bytes, sha256=stored.sha256
            )
        return None


async def _exactly(stored: StoredUpload, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Raises `DamagedUploadError` at the end when it was another object, put in its place meanwhile."""
    sha = hashlib.sha256()
    async for piece in pieces:
        sha.update(piece)
        yield piece
    if sha.hexdigest() != stored.sha256:
        raise DamagedUploadError("the upload was replaced while it was read")


def needed(record: DocumentRecord) -> tuple[str, ...]:
    """The generations whose content may be wanted again: seen, on their way, or failed and still to be replayed."""
    if record.deleted:
        return ()
    latest = record.latest
    failed = latest.generation if latest.state is GenerationState.FAILED else None
    wanted = {record.visible_generation, record.pending_generation, failed}
    return tuple(g.generation for g in record.generations if g.generation in wanted)


def missing(document: BackedDocument) -> tuple[str, ...]:
    """The generations in use of which the backup has no original. One that has failed may never have had one."""
    record = document.record
    stored = {upload.generation for upload in document.uploads if upload.part == "content"}
    in_use = {record.visible_generation, record.pending_generation}
    return tuple(name for name in needed(record) if name in in_use and name not in stored)
